//! What is known of a stream, beside what the client received of it.

use lastline_jobs::FILING_UNKNOWN;
use lastline_line::{Gaps, Holder, Offset, Span, StreamEnd};

/// What a host said of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StreamRecord {
    pub(super) end: Option<StreamEnd>,
    /// What its host read; what was received when the host is lost.
    pub(super) read_bytes: Option<u64>,
    pub(super) read_lines: u64,
    pub(super) error: Option<String>,
    pub(super) leaked_to: Vec<Holder>,
    pub(super) filed: Option<FiledRecord>,
    pub(super) last_lines: Vec<String>,
}

/// What a stream's files have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct FiledRecord {
    pub(super) filed_bytes: u64,
    pub(super) not_filed: Gaps,
    pub(super) not_synced: Gaps,
}

impl StreamRecord {
    /// What its files have, where `read_bytes` were read.
    pub(super) fn filed(&self, read_bytes: u64) -> FiledRecord {
        let mut filed = self.filed.clone().unwrap_or_default();
        let settled = Offset(filed.filed_bytes + filed.not_filed.bytes());
        filed.not_filed.declare(Span::new(settled, Offset(read_bytes)), FILING_UNKNOWN);
        filed
    }
}
