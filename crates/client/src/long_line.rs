//! A line that is too long to be held, made whole from the file.

use lastline_line::{Offset, ReadBack, ReadOutcome, StreamId};

/// The `filed` bytes of `stream` from `start` on, and `rest` after them; in words why not.
pub(crate) fn whole(
    files: &dyn ReadBack,
    stream: StreamId,
    start: Offset,
    filed: u64,
    rest: &[u8],
) -> Result<Vec<u8>, String> {
    let front = usize::try_from(filed).map_err(|_| String::from("line too long"))?;
    let mut text = vec![0; front];
    let mut read = 0;
    while read < front {
        match files.read_back(stream, start + read as u64, &mut text[read..]) {
            Ok(ReadOutcome::Read(bytes)) => read += bytes,
            Ok(ReadOutcome::Gone { cause, .. }) => return Err(cause),
            Ok(ReadOutcome::NotYet) => return Err("not in the file after all".into()),
            Err(error) => return Err(format!("reading back failed: {error}")),
        }
    }
    text.extend_from_slice(rest);
    Ok(text)
}
