//! Writing to who may be slow.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

/// A watcher that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes all of it, as long as the peer takes something from time to time.
pub(super) async fn write_within(
    write: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = tokio::time::timeout(PATIENCE, write.write(bytes)).await??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_let_go_and_who_is_slow_is_not() {
        let (mut write, mut read) = duplex(16);
        let slow = async {
            let (mut all, mut piece) = (Vec::new(), [0; 8]);
            while all.len() < 64 {
                tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
                let bytes = read.read(&mut piece).await.unwrap();
                all.extend_from_slice(&piece[..bytes]);
            }
            all
        };
        let (written, all) = tokio::join!(write_within(&mut write, &[b'x'; 64]), slow);
        written.unwrap();
        assert_eq!(all, [b'x'; 64]);
        let began = Instant::now();
        let error = write_within(&mut write, &[b'x'; 64]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, PATIENCE));
    }
}
