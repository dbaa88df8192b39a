//! `lastline run --export`, to a journal that is a socket of the test's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixDatagram;

use crate::support::{PATIENCE, Place, report};

/// The fields of an entry.
type Fields = BTreeMap<String, Vec<u8>>;

/// A journal.
struct Journal(UnixDatagram);

impl Journal {
    fn new(place: &Place) -> (Self, String) {
        let path = place.path("journal");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        (Self(socket), format!("journald={}", path.display()))
    }

    fn next(&self) -> Fields {
        let mut bytes = vec![0; 1 << 20];
        let len = self.0.recv(&mut bytes).expect("an entry in time");
        fields(&bytes[..len])
    }
}

fn fields(mut entry: &[u8]) -> Fields {
    let mut fields = Fields::new();
    while let Some(end) = entry.iter().position(|byte| *byte == b'\n') {
        let name = String::from_utf8(entry[..end].to_vec()).unwrap();
        let len = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap()) as usize;
        fields.insert(name, entry[end + 9..end + 9 + len].to_vec());
        entry = &entry[end + 10 + len..];
    }
    fields
}

fn text(fields: &Fields, name: &str) -> String {
    String::from_utf8_lossy(&fields[name]).into_owned()
}

#[test]
fn lines_are_in_the_journal_while_the_job_runs() {
    let place = Place::new();
    let (journal, target) = Journal::new(&place);
    let script = "printf 'a \\377\\nb'; until [ -e go ]; do sleep 0.01; done; echo c >&2";
    let job = place.start(&["run", "--job", "j", "--export", &target, "--", "sh", "-c", script]);
    let first = journal.next();
    assert_eq!(first["MESSAGE"], b"a \xff");
    let address =
        ["LASTLINE_JOB", "LASTLINE_RANK", "LASTLINE_STREAM", "LASTLINE_OFFSET", "PRIORITY"];
    assert_eq!(address.map(|name| text(&first, name)), ["j", "0", "stdout", "0", "6"]);
    fs::write(place.path("go"), "").unwrap();
    let mut rest = [journal.next(), journal.next()];
    rest.sort_by_key(|entry| text(entry, "LASTLINE_STREAM"));
    assert_eq!(address.map(|name| text(&rest[0], name)), ["j", "0", "stderr", "0", "4"]);
    assert_eq!(address.map(|name| text(&rest[1], name)), ["j", "0", "stdout", "4", "6"]);
    assert_eq!(
        (text(&rest[1], "MESSAGE"), text(&rest[1], "LASTLINE_PARTIAL")),
        ("b".into(), "1".into())
    );
    let done = job.wait().expect(0);
    assert!(!done.err().contains("EXPORTED"), "{}", done.err());
}

#[test]
fn starts_of_a_rank_are_told_apart() {
    let place = Place::new();
    let (journal, target) = Journal::new(&place);
    let script = "echo start $LASTLINE_RESTART_COUNT; [ $LASTLINE_RESTART_COUNT = 1 ]";
    let run = ["run", "--max-restarts", "1", "--export", &target, "--", "sh", "-c", script];
    place.lastline(&run).expect(0);
    let entries = [journal.next(), journal.next()];
    assert_eq!(entries.each_ref().map(|it| text(it, "MESSAGE")), ["start 0", "start 1"]);
    assert_ne!(entries[0]["LASTLINE_LAUNCH"], entries[1]["LASTLINE_LAUNCH"]);
}

#[test]
fn who_is_not_there_keeps_nobody_and_what_was_not_exported_is_told() {
    let place = Place::new();
    let target = format!("journald={}", place.path("nobody").display());
    let run = |more: &[&str]| {
        let run = ["run", "-n", "2", "--job", "j", "--overwrite", "--teardown-timeout", "1s"];
        let script = ["--export", &target, "--", "sh", "-c", "seq 1000; echo x >&2"];
        place.lastline(&[&run[..], more, &script].concat())
    };
    let done = run(&["--strict"]);
    assert_eq!(done.code(), 74, "{}", done.err());
    let said = format!("lastline: 2002 lines (7.8 kB) of ranks 0,1 NOT EXPORTED to {target}: ");
    let line =
        done.err().lines().find(|line| line.starts_with(&said)).expect("it is said").to_owned();
    let from = "rank 0 stdout from offset 0, rank 0 stderr from offset 0, rank 1 stdout from offset 0, \
                rank 1 stderr from offset 0";
    assert!(line.contains("No such file or directory") && line.ends_with(from), "{line}");
    report(&place.job("j"));
    assert_eq!(run(&[]).code(), 0);
}

#[test]
fn without_files_there_is_nothing_to_export_from() {
    let place = Place::new();
    let done = place.lastline(&["run", "--no-files", "--export", "journald", "--", "touch", "ran"]);
    assert_eq!(done.code(), 2);
    assert!(done.err().contains("leave out --no-files"), "{}", done.err());
    assert!(!place.path("ran").exists());
}

#[cfg(feature = "otlp")]
mod otlp {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use serde_json::Value;

    use crate::support::{PATIENCE, Place};

    /// An endpoint that answers with these, and then that all is well; where it is, and the records of what it
    /// took.
    fn endpoint(answers: &[&str]) -> (String, Receiver<Value>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = format!("otlp=http://{}", listener.local_addr().unwrap());
        let (taken, records) = channel();
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            while let Ok((socket, _)) = listener.accept() {
                let mut reader = BufReader::new(socket);
                let mut len = 0;
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap() > 2 {
                    let value = line.to_ascii_lowercase();
                    let value = value.strip_prefix("content-length: ").map(str::trim);
                    len = value.map_or(len, |value| value.parse().unwrap());
                    line.clear();
                }
                let mut body = vec![0; len];
                reader.read_exact(&mut body).unwrap();
                let answer = answers.next();
                if answer.is_none() {
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    let logs = &body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
                    for record in logs.as_array().unwrap() {
                        taken.send(record.clone()).unwrap_or_default();
                    }
                }
                let status = answer.unwrap_or_else(|| String::from("200 OK"));
                let answer =
                    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
            }
        });
        (target, records)
    }

    #[test]
    fn every_line_comes_to_an_endpoint_that_was_busy_first() {
        let place = Place::new();
        let (target, records) = endpoint(&["503 Busy", "429 Slow"]);
        let run = ["run", "-n", "2", "--export", &target, "--", "sh", "-c", "seq 3000"];
        let done = place.lastline(&run).expect(0);
        let said = format!("lastline: {target}/v1/logs takes nothing: HTTP status 503");
        assert!(done.err().contains(&said), "{}", done.err());
        assert!(!done.err().contains("EXPORTED"), "{}", done.err());
        let mut next = [1, 1];
        for _ in 0..6000 {
            let record = records.recv_timeout(PATIENCE).unwrap();
            let rank = record["attributes"][1]["value"]["intValue"].as_str().unwrap();
            let next = &mut next[rank.parse::<usize>().unwrap()];
            assert_eq!(record["body"]["stringValue"], next.to_string());
            *next += 1;
        }
        assert!(records.try_recv().is_err(), "each comes once");
    }

    #[test]
    fn what_is_refused_is_said_and_counts_with_strict() {
        let place = Place::new();
        let (target, _records) = endpoint(&["400 Bad"]);
        let run = ["run", "--strict", "--export", &target, "--", "echo", "x"];
        let done = place.lastline(&run);
        assert_eq!(done.code(), 74, "{}", done.err());
        let said =
            format!("1 line (2 B) of rank 0 NOT EXPORTED to {target}/v1/logs: HTTP status 400");
        assert!(done.err().contains(&said), "{}", done.err());
    }
}
