//! `lastline run --metrics`, as a scraper asks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::support::{PATIENCE, Place, Running, wait_until};

/// Rank 1 fails until it has been started twice before; then both wait.
const STARTED_AGAIN: &str = "echo start $LASTLINE_RESTART_COUNT; echo of rank $RANK >&2
    [ $RANK = 0 ] || [ $LASTLINE_RESTART_COUNT = 2 ] || exit 3
    until [ -e go ]; do sleep 0.01; done";

/// A job, and how it is asked.
struct Scraped {
    job: Running,
    host: String,
}

impl Scraped {
    fn start(place: &Place, options: &[&str], script: &str) -> Self {
        let run = ["run", "-n", "2", "--job", "j", "--metrics", "127.0.0.1:0"];
        let job = place.start(&[&run[..], options, &["--", "sh", "-c", script]].concat());
        let said = job.err_line_with("/metrics");
        let host = said.strip_prefix("lastline: metrics: http://").expect("its own words");
        let host = host.strip_suffix("/metrics").expect("an address").to_owned();
        Self { job, host }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.host).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// The head and the body of the answer.
    fn ask(&self, method: &str, path: &str) -> (String, String) {
        let mut socket = self.connect();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    }

    /// All samples, each by its name and labels, but for the host's.
    fn samples(&self) -> BTreeMap<String, f64> {
        let (_, body) = self.ask("GET", "/metrics");
        let samples = body.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let (before, host) = name.split_once(",host=\"").unwrap_or((name, ""));
            let after = host.split_once('"').map_or("", |(_, after)| after);
            Some((format!("{before}{after}"), value.parse().ok()?))
        });
        samples.collect()
    }

    /// Waits until the samples are so.
    fn wait_for(&self, what: &str, is_so: impl Fn(&BTreeMap<String, f64>) -> bool) {
        wait_until(what, || is_so(&self.samples()));
    }

    fn finish(self, place: &Place) {
        fs::write(place.path("go"), "").unwrap();
        self.job.wait().expect(0);
    }
}

/// The sample of this family of a stream of a rank.
fn of(family: &str, rank: u32, stream: &str) -> String {
    format!("lastline_stream_{family}_total{{job=\"j\",rank=\"{rank}\",stream=\"{stream}\"}}")
}

#[test]
fn counters_are_of_all_starts_of_a_rank() {
    let place = Place::new();
    let scraped = Scraped::start(&place, &["--max-restarts", "2"], STARTED_AGAIN);
    // "start 0", "of rank 1"
    let expected = [
        (of("read_bytes", 1, "stdout"), 24.0),
        (of("read_lines", 1, "stdout"), 3.0),
        (of("filed_bytes", 1, "stdout"), 24.0),
        (of("not_filed_bytes", 1, "stdout"), 0.0),
        (of("shown_bytes", 1, "stdout"), 24.0),
        (of("lost_bytes", 1, "stdout"), 0.0),
        (of("read_bytes", 1, "stderr"), 30.0),
        (of("read_bytes", 0, "stdout"), 8.0),
        ("lastline_rank_starts_total{job=\"j\",rank=\"0\"}".into(), 1.0),
        ("lastline_rank_starts_total{job=\"j\",rank=\"1\"}".into(), 3.0),
        ("lastline_rank_exits_total{job=\"j\",rank=\"1\",result=\"failure\"}".into(), 2.0),
        ("lastline_rank_running{job=\"j\",rank=\"1\"}".into(), 1.0),
        ("lastline_job_ranks{job=\"j\",state=\"running\"}".into(), 2.0),
        ("lastline_job_world_size{job=\"j\"}".into(), 2.0),
        ("lastline_job_barriers_total{job=\"j\"}".into(), 0.0),
    ];
    scraped.wait_for("the counters", |samples| {
        expected.iter().all(|(name, value)| samples.get(name) == Some(value))
    });
    assert_eq!(place.lastline(&["flush", "j"]).code(), 0);
    scraped.wait_for("the barrier", |samples| {
        samples["lastline_job_barriers_total{job=\"j\"}"] == 1.0
            && samples.contains_key("lastline_job_last_barrier_seconds{job=\"j\"}")
    });
    scraped.finish(&place);
}

#[test]
fn the_answer_is_of_the_text_format_and_nothing_else_is_there() {
    let place = Place::new();
    let scraped = Scraped::start(&place, &["--no-files"], "until [ -e go ]; do sleep 0.01; done");
    scraped.wait_for("both ranks", |samples| {
        samples.get("lastline_job_ranks{job=\"j\",state=\"running\"}") == Some(&2.0)
    });
    let (head, body) = scraped.ask("GET", "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
    assert!(head.lines().any(|line| line == kind), "{head}");
    assert!(!body.contains("filed_bytes_total{"), "there are no files: {body}");
    let status = |method, path| scraped.ask(method, path).0.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(status("GET", "/"), "404");
    assert_eq!(status("POST", "/metrics"), "405");
    scraped.finish(&place);
}

#[test]
fn the_job_ends_whoever_asks_and_does_not_read() {
    let place = Place::new();
    let scraped = Scraped::start(&place, &[], "until [ -e go ]; do sleep 0.01; done");
    let mut idle: Vec<TcpStream> = (0..20).map(|_| scraped.connect()).collect();
    for socket in idle.iter_mut().step_by(2) {
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    }
    scraped.finish(&place);
}

#[test]
fn an_address_in_use_is_said_before_anything_is_there() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = place.lastline(&["run", "--job", "j", "--metrics", &address, "--", "touch", "ran"]);
    let said = format!("lastline: --metrics: cannot listen on {address}: Address already in use");
    assert!(done.err().contains(&said), "{}", done.err());
    assert_eq!(done.code(), 1);
    assert!(!place.path("ran").exists() && !place.job("j").exists());
}
