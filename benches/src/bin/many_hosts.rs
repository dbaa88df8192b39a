//! Plays many hosts of one job at a broker: `many_hosts URL JOB HOSTS RANKS SECONDS [FOLD_AFTER_MS]`. Each
//! of a host's `RANKS` ranks says the same statement once a second, for so long; then all end, as hosts do
//! that have run ranks. With the last word each host gathers for so long what its ranks say, and folds it. Hosts share two connections: what a broker takes for two of each is not in it.
//!
//! It prints `begun` when all hosts are in the job, and a JSON object in the end: lines, seconds from the
//! first of them, and by how many milliseconds the worst of them was said and stored later than it should
//! have been.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use futures_util::stream::{StreamExt as _, TryStreamExt as _};
use lastline_benches::{Failure, on_runtime};
use lastline_line::{
    Capture, Chunk, Control, Exit, Gaps, Heartbeat, HostEvent, HostId, HostMessage, Launch,
    Message, Offset, Stream, StreamEnd, StreamId, Timestamp,
};
use lastline_nats::{Broker, HostClaim, NatsOptions, NatsTransport, connect};
use lastline_sender::{Transport as _, send};
use tokio::time::Instant;

/// How often a host says that it is alive.
const BEAT_EVERY: Duration = Duration::from_secs(2);
/// How many hosts come at once.
const AT_ONCE: usize = 64;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, job, hosts, ranks, seconds, fold_after @ ..] = &args[..] else {
        return Err("usage: many_hosts URL JOB HOSTS RANKS SECONDS [FOLD_AFTER_MS]".into());
    };
    let mut options = NatsOptions::new(url, job);
    let fold_after = fold_after.first().map(|text| text.parse()).transpose()?;
    options.fold_after = fold_after.map(Duration::from_millis);
    options.linger = Duration::from_secs(60);
    on_runtime(play(options, hosts.parse()?, ranks.parse()?, seconds.parse()?))
}

async fn play(options: NatsOptions, hosts: u32, ranks: u32, seconds: u32) -> Result<(), Failure> {
    let job: Arc<str> = options.job.as_str().into();
    let broker = connect(options).await?;
    let admit = |node| admit(&broker, &job, node, hosts, ranks);
    let admitted = futures_util::stream::iter(0..hosts).map(admit).buffer_unordered(AT_ONCE);
    let admitted: Vec<Host> = admitted.try_collect().await?;
    writeln!(io::stdout(), "begun")?;
    let (began, worst) = (Instant::now() + Duration::from_secs(1), Arc::new(AtomicU64::new(0)));
    let playing = admitted.into_iter().map(|host| {
        let worst = Arc::clone(&worst);
        tokio::spawn(host.run(began, seconds, worst))
    });
    for played in playing.collect::<Vec<_>>() {
        played.await??;
    }
    let (lines, worst) = (hosts * ranks * seconds, worst.load(Ordering::Relaxed));
    let took = began.elapsed().as_secs_f64();
    writeln!(io::stdout(), r#"{{"lines": {lines}, "seconds": {took:.1}, "worst_ms": {worst}}}"#)?;
    Ok(())
}

/// A host is in the job, and its ranks have been started.
async fn admit(
    broker: &Broker,
    job: &str,
    node: u32,
    hosts: u32,
    ranks: u32,
) -> Result<Host, Failure> {
    let first = node * ranks;
    let name = format!("node-{node}");
    let claim = HostClaim::new(first..first + ranks, hosts * ranks, name.clone());
    let id = claim.id;
    let transport = broker.host(claim).await?;
    let streams = (first..first + ranks)
        .flat_map(|rank| Stream::SEPARATE.map(|stream| StreamId::new(Launch(id.0), rank, stream)));
    let streams = streams.map(|stream| (stream, Written::default())).collect();
    let mut host = Host { id, transport, streams };
    let up = HostEvent::Up {
        host: name,
        pid: std::process::id(),
        job: job.to_owned(),
        command: vec!["played".to_owned()],
        world_size: hosts * ranks,
        first_rank: first,
        procs: ranks,
        node_rank: node,
        local_first: 0,
        local_world_size: ranks,
        stops_all: false,
        time: now(),
    };
    host.say(up).await?;
    for rank in first..first + ranks {
        let (launch, pid) = (Launch(id.0), Some(rank + 1));
        host.say(HostEvent::Started { rank, launch, pid, capture: Capture::Pipes, time: now() })
            .await?;
    }
    Ok(host)
}

/// A host that is played.
struct Host {
    id: HostId,
    transport: NatsTransport,
    streams: BTreeMap<StreamId, Written>,
}

/// What a stream has written, and how much of that is stored.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    lines: u64,
    bytes: Offset,
    stored: Offset,
}

impl Host {
    async fn run(
        mut self,
        began: Instant,
        seconds: u32,
        worst: Arc<AtomicU64>,
    ) -> Result<(), Failure> {
        let mut beat_at = Instant::now();
        for second in 0..seconds {
            let due = began + Duration::from_secs(second.into());
            while Instant::now() < due {
                beat_at = self.live_until(due, beat_at).await?;
            }
            self.say_all(second).await?;
            let next = due + Duration::from_secs(1);
            while !self.is_stored() {
                beat_at = self.live_until(Instant::now().max(next), beat_at).await?;
            }
            let late = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
            worst.fetch_max(late, Ordering::Relaxed);
        }
        self.end().await
    }

    fn is_stored(&self) -> bool {
        self.streams.values().all(|written| written.stored == written.bytes)
    }

    /// Serves what comes first: a control, the time of a heartbeat, `until`. When the next beat is due.
    async fn live_until(&mut self, until: Instant, beat_at: Instant) -> Result<Instant, Failure> {
        let transport = &mut self.transport;
        let control = std::future::poll_fn(|context| transport.poll_control(context));
        tokio::select! {
            control = control => {
                let control = control?;
                self.heed(control).await?;
                // Many come at once: that all are stored is seen with the last of them.
                while let Poll::Ready(control) = self.poll_control() {
                    self.heed(control?).await?;
                }
                Ok(beat_at)
            }
            () = tokio::time::sleep_until(beat_at) => {
                let beat = Heartbeat { host: self.id, time: now(), answers: None };
                send(&mut self.transport, Message::Heartbeat(beat)).await?;
                Ok(beat_at + BEAT_EVERY)
            }
            () = tokio::time::sleep_until(until) => Ok(beat_at),
        }
    }

    fn poll_control(&mut self) -> Poll<Result<Control, lastline_sender::Closed>> {
        self.transport.poll_control(&mut Context::from_waker(Waker::noop()))
    }

    async fn heed(&mut self, control: Control) -> Result<(), Failure> {
        match control {
            Control::Acknowledge { stream, through } => {
                if let Some(written) = self.streams.get_mut(&stream) {
                    written.stored = written.stored.max(through);
                }
            }
            Control::Ping { id } => {
                let beat = Heartbeat { host: self.id, time: now(), answers: id };
                send(&mut self.transport, Message::Heartbeat(beat)).await?;
            }
            Control::Flush { version } => {
                let streams = self.streams.keys().copied().collect();
                self.say(HostEvent::Barrier { version, streams }).await?;
                for (stream, written) in self.streams.clone() {
                    let mark = Message::Flush { stream, version, mark: written.bytes };
                    send(&mut self.transport, mark).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn say(&mut self, event: HostEvent) -> Result<(), Failure> {
        let message = Message::Host(HostMessage { host: self.id, event });
        Ok(send(&mut self.transport, message).await?)
    }

    /// Each rank says its line.
    async fn say_all(&mut self, second: u32) -> Result<(), Failure> {
        for (stream, written) in &mut self.streams {
            if stream.stream != Stream::Stdout {
                continue;
            }
            let loss = (stream.rank * 7919 + second * 104_729) % 1000;
            let line =
                format!("step {second} loss 0.{loss:03} tokens/s 48211 and a few more words\n");
            let chunk = Chunk::new(*stream, written.bytes, now(), line.into_bytes().into());
            (written.lines, written.bytes) = (written.lines + 1, chunk.end());
            send(&mut self.transport, Message::Data(chunk)).await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<(), Failure> {
        for (stream, written) in self.streams.clone() {
            send(&mut self.transport, Message::End { stream, at: written.bytes }).await?;
            let Written { lines, bytes, .. } = written;
            self.say(HostEvent::StreamEnded {
                stream,
                end: StreamEnd::Eof,
                read_bytes: bytes.0,
                read_lines: lines,
                error: None,
                leaked_to: Vec::new(),
            })
            .await?;
            let (not_filed, not_synced) = (Gaps::default(), Gaps::default());
            let filed = HostEvent::Filed { stream, filed_bytes: bytes.0, not_filed, not_synced };
            self.say(filed).await?;
            if stream.stream == Stream::Stdout {
                let (rank, launch, exit) = (stream.rank, stream.launch, Exit::Code(0));
                let exited = HostEvent::Exited {
                    rank,
                    launch,
                    exit,
                    stopped: false,
                    starts_again: false,
                    time: now(),
                };
                self.say(exited).await?;
            }
        }
        self.say(HostEvent::Down).await?;
        let ended = self.transport.ended();
        drop(self.transport);
        ended.await;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
