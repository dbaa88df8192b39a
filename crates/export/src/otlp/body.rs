//! Lines as the JSON of OTLP
//! (<https://github.com/open-telemetry/opentelemetry-proto>, `ExportLogsServiceRequest`).

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::record::Record;

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Numbers of 64 bits are strings in the JSON of protocol buffers.
fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// What is the same of all lines of a job.
pub(super) fn resource(job: &str, host: &str) -> Value {
    let service = text("service.name", "lastline");
    json!({ "attributes": [service, text("host.name", host), text("lastline.job", job)] })
}

/// A request with these lines.
pub(super) fn request(resource: &Value, batch: &[Record]) -> Value {
    let records: Vec<Value> = batch.iter().map(record).collect();
    let scope = json!({ "name": "lastline", "version": env!("CARGO_PKG_VERSION") });
    json!({ "resourceLogs": [{
        "resource": resource,
        "scopeLogs": [{ "scope": scope, "logRecords": records }],
    }] })
}

fn record(record: &Record) -> Value {
    let Record { stream, span, time, text: bytes, partial } = record;
    let body = match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "stringValue": text }),
        Err(_) => json!({ "bytesValue": BASE64.encode(bytes) }),
    };
    let mut attributes = vec![
        text("log.iostream", stream.stream.name()),
        number("lastline.rank", stream.rank.into()),
        text("lastline.launch", &stream.launch.to_string()),
        number("lastline.offset", span.from.0),
    ];
    if *partial {
        attributes.push(json!({ "key": "lastline.partial", "value": { "boolValue": true } }));
    }
    // 0 is a time that is not known.
    let nanos = time.0.saturating_mul(1000).to_string();
    json!({
        "timeUnixNano": nanos,
        "observedTimeUnixNano": nanos,
        "body": body,
        "attributes": attributes,
    })
}

#[cfg(test)]
mod tests {
    use lastline_line::{Launch, Offset, Stream, StreamId, Timestamp};

    use super::*;

    #[test]
    fn a_line_is_a_record_with_its_address() {
        let id = StreamId::new(Launch(0xab), 3, Stream::Stderr);
        let batch = [
            Record::new(id, Offset(120), Timestamp(7), "a \"b\"\u{1}", false),
            Record::new(id, Offset(127), Timestamp(0), vec![0xff, b'x'], true),
        ];
        let request = request(&resource("ci-7", "node7"), &batch);
        let logs = &request["resourceLogs"][0];
        assert_eq!(logs["resource"]["attributes"][2], text("lastline.job", "ci-7"));
        let records = &logs["scopeLogs"][0]["logRecords"];
        assert_eq!(
            records[0],
            json!({
                "timeUnixNano": "7000",
                "observedTimeUnixNano": "7000",
                "body": { "stringValue": "a \"b\"\u{1}" },
                "attributes": [
                    { "key": "log.iostream", "value": { "stringValue": "stderr" } },
                    { "key": "lastline.rank", "value": { "intValue": "3" } },
                    { "key": "lastline.launch", "value": { "stringValue": "00000000000000ab" } },
                    { "key": "lastline.offset", "value": { "intValue": "120" } },
                ],
            })
        );
        assert_eq!(records[1]["body"], json!({ "bytesValue": "/3g=" }));
        let partial = json!({ "key": "lastline.partial", "value": { "boolValue": true } });
        assert_eq!(records[1]["attributes"][4], partial);
    }
}
