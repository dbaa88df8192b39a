//! `lastline serve` and `lastline report --html`, as a browser asks and as it should not.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{PATIENCE, Place, Running, wait_until};

/// A server, and how it is asked.
struct Served {
    server: Running,
    host: String,
    token: String,
    cookie: String,
}

/// What came of a request.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Served {
    fn start(place: &Place, args: &[&str]) -> Self {
        let server = place.start(&[&["serve"], args].concat());
        let url = server.line();
        let rest = url.strip_prefix("http://").expect("an address");
        let (host, token) = rest.split_once("/?token=").expect("a token");
        let mut served =
            Self { server, host: host.into(), token: token.into(), cookie: String::new() };
        let exchanged = served.get(&format!("/?token={token}"));
        assert_eq!(exchanged.status, 200, "{}", exchanged.head);
        let cookie = exchanged.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        served.cookie = cookie.unwrap().split(';').next().unwrap().to_owned();
        served
    }

    fn open(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut socket = TcpStream::connect(&self.host).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{request}\r\n").as_bytes()).unwrap();
        socket
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut text = Vec::new();
        self.open(method, path, headers).read_to_end(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("host", &self.host), ("cookie", &self.cookie)])
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The data of the events of an answer, until one of this name has come.
    fn events(&self, path: &str, until: &str) -> Vec<(String, Value)> {
        let headers = [("host", self.host.as_str()), ("cookie", &self.cookie)];
        let mut lines = BufReader::new(self.open("GET", path, &headers)).lines();
        let mut events = Vec::new();
        let mut name = String::new();
        let deadline = Instant::now() + PATIENCE;
        while let Some(line) = lines.next().transpose().unwrap() {
            assert!(Instant::now() < deadline, "no `{until}` in time: {events:?}");
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                events.push((name.clone(), serde_json::from_str(data).unwrap()));
                if name == until {
                    break;
                }
            }
        }
        events
    }
}

/// Rank 1 fails when what the others say is in their files: it came before that.
const FAILS: &str = "echo \"<script>alert($RANK)</script> ready\"; printf 'bad \\377 byte\\n' >&2
    [ $RANK = 1 ] || exec sleep 60
    for rank in 0 2; do for stream in stdout stderr; do
        until [ -s state/lastline/jobs/a/rank-$rank.$stream.log ]; do sleep 0.01; done
    done; done
    echo out of luck >&2; exit 3";

fn failed_job(place: &Place) {
    let args = ["run", "-n", "3", "--job", "a", "--grace", "1s", "--", "sh", "-c", FAILS];
    assert_eq!(place.lastline(&args).code(), 3);
}

#[test]
fn nobody_without_the_token_sees_anything() {
    let place = Place::new();
    failed_job(&place);
    let served = Served::start(&place, &[]);
    let host = ("host", served.host.as_str());
    let cookie = ("cookie", served.cookie.as_str());
    let paths = ["/", "/page.js", "/api/jobs", "/api/jobs/a/live", "/api/jobs/a/lines?rank=0"];
    for path in paths {
        let status = |headers: &[_]| served.ask("GET", path, headers).status;
        assert_eq!(status(&[host]), 401, "{path}");
        assert_eq!(status(&[host, ("cookie", "lastline-1=x")]), 401, "{path}");
        assert_eq!(status(&[("host", "evil.example"), cookie]), 421, "{path}");
        assert_eq!(status(&[cookie]), 421, "{path}");
        let foreign = ("origin", "http://evil.example");
        assert_eq!(status(&[host, cookie, foreign]), 403, "{path}");
        assert_eq!(status(&[host, cookie, ("origin", "null")]), 403, "{path}");
    }
    for wrong in ["", "x", &served.token[..31], &format!("{}x", served.token)] {
        let answer = served.ask("GET", &format!("/?token={wrong}"), &[host]);
        assert_eq!((answer.status, answer.head.contains("set-cookie")), (401, false), "{wrong}");
    }
    // The token opens the page and nothing else.
    let path = format!("/api/jobs?token={}", served.token);
    assert_eq!(served.ask("GET", &path, &[host]).status, 401);
    assert!(served.ask("GET", "/", &[host]).head.contains("default-src 'none'"));
}

#[test]
fn the_cookie_is_kept_from_scripts_and_other_sites_and_the_page_runs_only_its_own() {
    let place = Place::new();
    let served = Served::start(&place, &[]);
    let path = format!("/?token={}", served.token);
    let exchanged = served.ask("GET", &path, &[("host", &served.host)]);
    for found in ["HttpOnly", "SameSite=Strict", "content-security-policy", "no-referrer"] {
        assert!(exchanged.head.contains(found), "{found}: {}", exchanged.head);
    }
    assert!(!exchanged.body.contains(&served.token));
    let page = served.get("/");
    assert_eq!(page.status, 200);
    for found in ["nosniff", "script-src 'self'", "frame-ancestors 'none'", "no-store"] {
        assert!(page.head.contains(found), "{found}: {}", page.head);
    }
    assert!(!page.head.contains("unsafe"));
    assert_eq!(served.json("/api/jobs")["jobs"], serde_json::json!([]));
}

#[test]
fn a_job_is_told_from_its_files() {
    let place = Place::new();
    failed_job(&place);
    let served = Served::start(&place, &["a"]);
    let jobs = served.json("/api/jobs");
    assert_eq!((&jobs["chosen"], &jobs["jobs"][0]["exit"]), (&"a".into(), &3.into()));
    let events = served.events("/api/jobs/a/live", "over");
    let snapshot = &events.iter().find(|(name, _)| name == "snapshot").unwrap().1["snapshot"];
    assert_eq!(snapshot["first_failure"]["rank"], 1);
    let time = snapshot["first_failure"]["time"].as_u64().unwrap();
    let entries = &events.iter().find(|(name, _)| name == "entries").unwrap().1;
    let text = entries.to_string();
    assert!(text.contains("bad \u{fffd} byte") && text.contains("out of luck"), "{text}");

    let lines = served.json("/api/jobs/a/lines?rank=1&stream=stderr&end=true");
    assert_eq!(lines["items"][1]["text"], "out of luck");
    assert_eq!((&lines["start"], &lines["end"]), (&true.into(), &true.into()));
    let path = format!("/api/jobs/a/around?time={time}&seconds=30&except=1");
    let around = served.json(&path);
    let before = around["before"].to_string();
    assert!(before.contains("alert(") && !before.contains("out of luck"), "{before}");
    let mut entries = around["before"].as_array().unwrap().iter();
    assert!(entries.any(|entry| entry["ranks"] == "0,2"), "{before}");
    assert_eq!(served.get("/api/jobs/b/live").status, 404);
    assert_eq!(served.get("/api/jobs/..%2f..%2fa/lines?rank=0").status, 404);
}

#[test]
fn a_search_tells_hits_with_their_places_and_refuses_what_is_no_expression() {
    let place = Place::new();
    failed_job(&place);
    let served = Served::start(&place, &["a"]);
    let hits = |query: &str| {
        let events = served.events(&format!("/api/jobs/a/search?{query}"), "over");
        let all = events.into_iter().filter(|(name, _)| name == "hits");
        let mut hits: Vec<Value> =
            all.flat_map(|(_, hits)| hits.as_array().unwrap().clone()).collect();
        hits.sort_by_key(|hit| hit["rank"].as_u64());
        hits
    };
    let found = hits("text=alert%5C(%5Cd&regex=true");
    assert_eq!(
        found.iter().map(|hit| hit["found"].as_str().unwrap()).collect::<Vec<_>>(),
        ["alert(0", "alert(1", "alert(2"]
    );
    assert_eq!(found[1]["before"], "<script>");
    assert!(found[1]["time"].as_u64().unwrap() > 0);
    assert_eq!(hits("text=alert(1").len(), 1);
    assert_eq!(hits("text=READY&ranks=0,2").len(), 2);
    assert_eq!(hits("text=READY&case=true").len(), 0);
    let refused = served.events("/api/jobs/a/search?text=(&regex=true", "refused");
    assert!(refused[0].1.as_str().unwrap().contains("unclosed group"));
}

#[test]
fn jobs_are_stopped_only_where_that_is_allowed_and_by_the_page_itself() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let job = place.start_ranks(&["-n", "2", "--job", "a"], &["gate", &path]);
    let control = place.control("a");
    wait_until("the job does not run", || control.exists());
    let reading = Served::start(&place, &["a"]);
    let origin = |served: &Served| format!("http://{}", served.host);
    let post = |served: &Served, path: &str, own: &[(&str, &str)]| {
        let mut headers = vec![("host", served.host.as_str()), ("cookie", &served.cookie)];
        headers.extend(own);
        headers.push(("content-length", "0"));
        served.ask("POST", path, &headers)
    };
    let (asked, from) = (("x-lastline", "1"), origin(&reading));
    let not_allowed = post(&reading, "/api/jobs/a/stop", &[asked, ("origin", &from)]);
    assert_eq!(not_allowed.status, 403);
    assert!(not_allowed.body.contains("--allow-control"), "{}", not_allowed.body);

    let served = Served::start(&place, &["a", "--allow-control"]);
    let from = origin(&served);
    assert_eq!(served.get("/api/jobs/a/stop").status, 405);
    assert_eq!(post(&served, "/api/jobs/a/stop", &[("origin", &from)]).status, 403);
    assert_eq!(post(&served, "/api/jobs/a/stop", &[asked]).status, 403);
    let foreign = ("origin", "http://evil.example");
    assert_eq!(post(&served, "/api/jobs/a/stop", &[asked, foreign]).status, 403);
    let flushed = post(&served, "/api/jobs/a/flush", &[asked, ("origin", &from)]);
    assert_eq!((flushed.status, flushed.body.as_str()), (200, "{\"words\":\"reached\"}"));
    let stopped = post(&served, "/api/jobs/a/stop", &[asked, ("origin", &from)]);
    assert_eq!(stopped.status, 200, "{}", stopped.body);
    assert_eq!(job.wait().code(), 143);
    drop(gate);
    assert_eq!(post(&served, "/api/jobs/a/stop", &[asked, ("origin", &from)]).status, 409);
}

#[test]
fn a_signal_ends_the_server_at_once_while_somebody_looks() {
    let place = Place::new();
    failed_job(&place);
    let mut served = Served::start(&place, &["a"]);
    let headers = [("host", served.host.as_str()), ("cookie", &served.cookie)];
    let viewer = served.open("GET", "/api/jobs/a/live", &headers);
    viewer.peek(&mut [0]).unwrap();
    let told = Instant::now();
    served.server.signal(rustix::process::Signal::INT);
    served.server.wait_exit();
    assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
}

#[test]
fn an_address_for_others_says_that_nothing_is_encrypted() {
    let place = Place::new();
    let server = place.start(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(server.line().starts_with("http://0.0.0.0:"));
    server.signal(rustix::process::Signal::TERM);
    let done = server.wait();
    assert!(done.err().contains("nothing is encrypted"), "{}", done.err());
}

#[test]
fn a_finished_job_becomes_one_page_which_holds_text_and_no_markup_of_ranks() {
    let place = Place::new();
    failed_job(&place);
    let file = place.path("job.html");
    let done = place.lastline(&["report", "--html", file.to_str().unwrap()]);
    assert_eq!((done.code(), done.out()), (0, String::new()));
    let page = fs::read_to_string(&file).unwrap();
    assert!(page.contains("out of luck") && page.contains("Content-Security-Policy"));
    assert!(!page.contains("<script>alert"), "a rank's text is markup");
    // A device is written to, and a place where nothing can be is said.
    assert_eq!(place.lastline(&["report", "--html", "/dev/null"]).code(), 0);
    assert!(fs::metadata("/dev/null").unwrap().len() == 0);
    let done = place.lastline(&["report", "--html", "no/such/place.html"]);
    assert_eq!(done.code(), 74);
    assert_eq!(
        fs::read_dir(place.path(""))
            .unwrap()
            .flatten()
            .filter(|file| file.file_name() == "no")
            .count(),
        0
    );
}
