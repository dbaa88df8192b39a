//! The endpoint's answers, from one that is the test's.

#![cfg(feature = "otlp")]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use lastline_export::{Destination as _, ExportError, Headers, Otlp, Place, Record, Refused};
use lastline_line::{Launch, Offset, Stream, StreamId, Timestamp};
use serde_json::Value;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an endpoint was asked.
struct Asked {
    /// The first line and the headers, in lower case.
    head: Vec<String>,
    body: Value,
}

/// An endpoint that gives these answers, one a connection; where it is, and what it was asked.
fn endpoint(answers: &'static [&'static str]) -> (Place, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (told, asked) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (socket, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(socket);
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end() {
                    "" => break,
                    line => head.push(line.to_ascii_lowercase()),
                }
            }
            let len = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; len.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap();
            told.send(Asked { head, body }).unwrap_or_default();
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
        }
    });
    (place, asked)
}

fn batch() -> Vec<Record> {
    let id = StreamId::new(Launch(1), 0, Stream::Stdout);
    let record = |at: u64| Record::new(id, Offset(at), Timestamp(1), "x", false);
    vec![record(0), record(2)]
}

/// What comes of an answer.
fn of(answers: &'static [&'static str]) -> Result<Refused, ExportError> {
    let (place, _asked) = endpoint(answers);
    Otlp::new("j", place, Headers::default()).export(&batch(), PATIENCE)
}

#[test]
fn a_batch_is_one_request_with_its_headers() {
    let answer = &["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"];
    let (place, asked) = endpoint(answer);
    let headers = Headers::parse("api-key=a%20b").unwrap();
    let mut otlp = Otlp::new("j", place, headers);
    assert_eq!(otlp.export(&batch(), PATIENCE).unwrap().lines, 0);
    let Asked { head, body } = asked.recv_timeout(PATIENCE).unwrap();
    assert_eq!(head[0], "post /v1/logs http/1.1");
    for header in ["content-type: application/json", "api-key: a b"] {
        assert!(head.iter().any(|line| line == header), "{header}: {head:?}");
    }
    let records = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    assert_eq!(records.as_array().unwrap().len(), 2);
}

#[test]
fn what_is_refused_in_part_is_counted() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\
        {\"partialSuccess\":{\"rejectedLogRecords\":\"1\",\"errorMessage\":\"old\"}}";
    let answer: &'static [&'static str] = Box::leak(Box::new([answer]));
    assert_eq!(of(answer), Ok(Refused { lines: 1, why: "old".into() }));
}

#[test]
fn who_is_busy_is_asked_later_and_not_before_it_says() {
    let answer = &[
        "HTTP/1.1 503 Unavailable\r\nretry-after: 7\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbusy",
    ];
    let why = "HTTP status 503 Service Unavailable: busy".into();
    let after = Some(Duration::from_secs(7));
    assert_eq!(of(answer), Err(ExportError::Later { taken: 0, after, why }));
    let answer = &["HTTP/1.1 429 Slow\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"];
    let error = of(answer).unwrap_err();
    assert!(matches!(error, ExportError::Later { after: None, .. }), "{error:?}");
}

#[test]
fn what_is_wrong_or_elsewhere_is_refused_for_good_and_what_is_too_large_is_said() {
    let answer = &["HTTP/1.1 400 Bad\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"];
    let why = "HTTP status 400 Bad Request: no".into();
    assert_eq!(of(answer), Err(ExportError::Never { taken: 0, refused: 2, why }));
    let answer =
        &["HTTP/1.1 302 Found\r\nlocation: /x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"];
    let error = of(answer).unwrap_err();
    assert!(matches!(error, ExportError::Never { refused: 2, .. }), "{error:?}");
    let answer = &["HTTP/1.1 413 Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"];
    let error = of(answer).unwrap_err();
    assert!(matches!(error, ExportError::TooLarge { .. }), "{error:?}");
}

#[test]
fn who_does_not_answer_is_waited_for_no_longer_than_that() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = Place::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let mut otlp = Otlp::new("j", place.clone(), Headers::default());
    let error = otlp.export(&batch(), Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, ExportError::Later { taken: 0, .. }), "{error:?}");
    drop(listener);
    let error = otlp.export(&batch(), PATIENCE).unwrap_err();
    assert!(matches!(error, ExportError::Later { taken: 0, .. }), "{error:?}");
}
