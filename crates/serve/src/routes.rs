//! What can be asked of the server.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use lastline_jobs::FoundJob;
use lastline_line::{RankSet, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::around::{Around, around};
use crate::assets;
use crate::finding::{self, Asked};
use crate::guard::{Guard, guard};
use crate::lines::{Page, Wanted, page};
use crate::search::Pattern;
use crate::state::{Refusal, Shared, blocking, is_running};
use crate::{live, told};

/// The longest time around a moment, in seconds.
const MOST_SECONDS: f64 = 600.0;

/// All routes, behind the guard.
pub(crate) fn routes(shared: Arc<Shared>, own: Arc<Guard>) -> Router {
    let text = |kind: &'static str, body: String| {
        let body = bytes::Bytes::from(body);
        get(move || std::future::ready(([(CONTENT_TYPE, kind)], body.clone()).into_response()))
    };
    Router::new()
        .route("/", text("text/html; charset=utf-8", assets::page()))
        .route("/style.css", text("text/css; charset=utf-8", assets::STYLE.to_owned()))
        .route("/page.js", text("text/javascript; charset=utf-8", assets::script()))
        // Browsers ask for it; the page has none.
        .route("/favicon.ico", get(|| std::future::ready(StatusCode::NO_CONTENT)))
        .route("/api/jobs", get(jobs))
        .route("/api/jobs/{job}/live", get(watch))
        .route("/api/jobs/{job}/lines", get(lines))
        .route("/api/jobs/{job}/around", get(said_around))
        .route("/api/jobs/{job}/search", get(search))
        .route("/api/jobs/{job}/flush", post(flush))
        .route("/api/jobs/{job}/stop", post(stop))
        .layer(axum::middleware::from_fn_with_state(own, guard))
        .with_state(shared)
}

#[derive(Serialize)]
struct Jobs {
    jobs: Vec<Listed>,
    /// The one to begin with.
    chosen: Option<String>,
    /// Whether running jobs may be flushed and stopped from here.
    control: bool,
}

#[derive(Serialize)]
struct Listed {
    job: String,
    started: Option<Timestamp>,
    ranks: u32,
    state: &'static str,
    exit: Option<u8>,
    bytes: u64,
    command: String,
}

async fn jobs(State(shared): State<Arc<Shared>>) -> Result<Json<Jobs>, Refusal> {
    let found = blocking(&shared, |shared| {
        let jobs = shared.jobs().iter().map(|job| listed(job, shared)).collect();
        let chosen = shared.chosen.as_ref().map(|job| job.info.job.clone());
        Ok(Jobs { jobs, chosen, control: shared.control.is_some() })
    });
    found.await.map(Json)
}

fn listed(job: &FoundJob, shared: &Shared) -> Listed {
    let exit = (shared.exit_code)(job);
    let state = match (is_running(job), exit) {
        (true, _) => "running",
        (false, Some(_)) => "finished",
        (false, None) => "broken",
    };
    Listed {
        job: job.info.job.clone(),
        started: timestamp(&job.info.started),
        ranks: job.info.world_size,
        state,
        exit,
        bytes: job.bytes(),
        command: job.info.command.join(" "),
    }
}

/// The time that RFC 3339 names.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok().map(Timestamp)
}

/// One of few places, at once or not at all.
fn place(of: &Arc<Semaphore>, what: &str) -> Result<tokio::sync::OwnedSemaphorePermit, Refusal> {
    let none = |_| Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("there are too many {what}"));
    Arc::clone(of).try_acquire_owned().map_err(none)
}

async fn watch(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
) -> Result<Response, Refusal> {
    let place = place(&shared.viewers, "viewers")?;
    let wanted = job.clone();
    blocking(&shared, move |shared| shared.job(&wanted).map(drop)).await?;
    let (teller, response) = told::viewer(place);
    tokio::spawn(live::tell(shared, job, teller));
    Ok(response)
}

async fn lines(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page>, Refusal> {
    let read = blocking(&shared, move |shared| {
        let (_, files) = shared.files(&job)?;
        page(&files, &wanted).map_err(|error| Refusal::of(&error))
    });
    read.await.map(Json)
}

#[derive(Deserialize)]
struct Moment {
    /// In microseconds since 1970.
    time: u64,
    seconds: f64,
    /// The rank that is not asked for.
    except: Option<u32>,
}

async fn said_around(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    Query(moment): Query<Moment>,
) -> Result<Json<Around>, Refusal> {
    if !(moment.seconds >= 0.0 && moment.seconds <= MOST_SECONDS) {
        return Err(Refusal::bad(format!("`seconds` may be 0 to {MOST_SECONDS}")));
    }
    let read = blocking(&shared, move |shared| {
        let (job, files) = shared.files(&job)?;
        let mut ranks = RankSet::first(job.info.world_size);
        ranks.remove(moment.except.unwrap_or(u32::MAX));
        around(&files, &ranks, Timestamp(moment.time), moment.seconds)
            .map_err(|error| Refusal::of(&error))
    });
    read.await.map(Json)
}

async fn search(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let place = place(&shared.searches, "searches")?;
    let pattern = Pattern::new(&asked.text, !asked.regex, !asked.case);
    let (teller, response) = told::viewer(place);
    let pattern = match pattern {
        Ok(pattern) => pattern,
        // As an event: a page cannot read the body of a refused stream of events.
        Err(error) => {
            tokio::spawn(async move { teller.tell("refused", &error.to_string()).await });
            return Ok(response);
        }
    };
    let (_, files) = blocking(&shared, move |shared| shared.files(&job)).await?;
    tokio::task::spawn_blocking(move || finding::find(&files, &asked, &pattern, &teller));
    Ok(response)
}

#[derive(Serialize)]
struct Answer {
    words: String,
}

/// Asks a running job for something, where that is allowed.
async fn control(
    shared: Arc<Shared>,
    job: String,
    ask: fn(&dyn crate::Control, &FoundJob) -> std::io::Result<String>,
) -> Result<Json<Answer>, Refusal> {
    let asked = tokio::task::spawn_blocking(move || {
        let not_allowed = || {
            let words = "this server was started without --allow-control".to_owned();
            Refusal(StatusCode::FORBIDDEN, words)
        };
        let control = shared.control.as_ref().ok_or_else(not_allowed)?;
        let job = shared.job(&job)?;
        if !is_running(&job) {
            return Err(Refusal(StatusCode::CONFLICT, "the job is over".into()));
        }
        let words = ask(&**control, &job).map_err(|error| Refusal::of(&error))?;
        Ok(Json(Answer { words }))
    });
    asked.await.unwrap_or_else(|error| Err(Refusal::of(&error)))
}

async fn flush(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
) -> Result<Json<Answer>, Refusal> {
    control(shared, job, |control, job| control.flush(job)).await
}

async fn stop(
    State(shared): State<Arc<Shared>>,
    Path(job): Path<String>,
) -> Result<Json<Answer>, Refusal> {
    control(shared, job, |control, job| control.stop(job)).await
}
