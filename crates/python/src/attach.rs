//! Driving a job whose ranks others run: `lastline run --via`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lastline_bootstrap::{
    ControlSocket, DriverBuilder, DriverEnd, DriverHandle, Files, Listening, Plan,
    SubscribeOptions, Url, control_path,
};
use lastline_jobs::{JobsPlace, check_job_id, make_dir};
use lastline_line::Resume;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::console::console;
use crate::mesh::{Mesh, Parts, Ranks};
use crate::options::{duration, fold, on_failure, streams, template};
use crate::start::{FEED_BYTES, await_end};
use crate::tap::{Tap, Tapped};
use crate::wait::{block_on, handle, lock};
use crate::{LastlineError, failed};

/// All that `attach` takes; durations in seconds. The defaults are Python's to say.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct AttachOptions {
    job: String,
    via: String,
    from_start: bool,
    lost_after: f64,
    log_dir: Option<PathBuf>,
    fold: String,
    fold_window: Option<f64>,
    prefix: String,
    show: Option<String>,
    console: Py<PyAny>,
    color: String,
    on_failure: Option<String>,
    silent_after: f64,
    teardown_timeout: f64,
    flush_timeout: f64,
    report: Option<PathBuf>,
}

impl AttachOptions {
    fn plan(&self) -> PyResult<Plan> {
        let mut plan = Plan::new(&self.job, Vec::new());
        plan.report.clone_from(&self.report);
        plan.show = self.show.as_deref().map(|show| streams("show", show)).transpose()?;
        plan.silent_after = duration("silent_after", self.silent_after)?;
        plan.teardown_timeout = duration("teardown_timeout", self.teardown_timeout)?;
        plan.flush_timeout = duration("flush_timeout", self.flush_timeout)?;
        Ok(plan)
    }

    /// Where the report goes: beside the files of hosts on this machine.
    fn dir(&self) -> PyResult<PathBuf> {
        let made = match &self.log_dir {
            Some(dir) => make_dir(dir),
            None => JobsPlace::of_user().and_then(|place| make_dir(&place.dir_of(&self.job))),
        };
        made.map_err(|error| failed::<LastlineError>(&error))
    }
}

/// What keeps a driver where hosts find it.
pub(crate) struct Meeting {
    listens: Mutex<Option<Listening>>,
    /// Who asks the driver of the job on this machine.
    control: Mutex<Option<ControlSocket>>,
}

impl Meeting {
    /// Nobody finds this driver any more.
    async fn close(&self) {
        drop(lock(&self.control).take());
        let listens = lock(&self.listens).take();
        if let Some(listens) = listens {
            listens.close().await;
        }
    }

    /// The job runs on without this driver.
    pub(crate) async fn leave(&self, driver: &DriverHandle) {
        // It is asked first: where nobody can come any more, a driver takes the job for over.
        tokio::join!(driver.detach(), self.close());
    }

    /// The same, and nobody waits for it.
    pub(crate) fn leave_behind(self: &Arc<Self>, driver: &DriverHandle) {
        let (meeting, driver) = (Arc::clone(self), driver.clone());
        if let Ok(runtime) = handle() {
            runtime.spawn(async move { meeting.leave(&driver).await });
        }
    }
}

/// Attaches to a job.
#[pyfunction]
pub(crate) fn attach(py: Python<'_>, options: AttachOptions) -> PyResult<Mesh> {
    check_job_id(&options.job).map_err(|error| LastlineError::new_err(error.to_string()))?;
    let url: Url = options.via.parse().map_err(|error: lastline_bootstrap::UrlError| {
        PyValueError::new_err(format!("via={:?}: {error}", options.via))
    })?;
    let lost_after = duration("lost_after", options.lost_after)?;
    let mut plan = options.plan()?;
    let fold_of = fold(&options.fold, None, options.fold_window)?;
    let look = (template(&options.prefix, true)?, &*options.color);
    let console = console(py, &options.console, look, fold_of)?;
    let runtime = handle()?;
    let dir = py.detach(|| options.dir())?;
    plan.files = Some(Files::new(dir.clone(), lastline_appender::Options::default()));
    let resume = if options.from_start { Resume::Start } else { Resume::Now };
    let end = block_on(py, url.driver(&options.job, resume, lost_after))?;
    let DriverEnd { inbox, listens, .. } = end.map_err(|error| failed::<LastlineError>(&error))?;
    let tap = Tap::keeping(FEED_BYTES);
    let flush_timeout: Duration = plan.flush_timeout;
    let mut builder = DriverBuilder::new(plan, console).lost_after(lost_after);
    if let Some(action) = &options.on_failure {
        builder = builder.on_failure(on_failure(action)?);
    }
    let started = {
        let _on_runtime = runtime.enter();
        builder.start(Tapped::new(inbox, tap.sink()))
    };
    let driver = started.map_err(|error| failed::<LastlineError>(&error))?.handle();
    let entries = (options.fold != "off").then(|| driver.entries(SubscribeOptions::default()));
    let control = {
        let _on_runtime = runtime.enter();
        ControlSocket::open(&control_path(&options.job), driver.clone())
    };
    let meeting = Arc::new(Meeting { listens: Mutex::new(listens), control: Mutex::new(control) });
    let ending = Arc::clone(&meeting);
    let outcome = await_end(&runtime, &driver, &tap, async move { ending.close().await });
    let parts = Parts::new(driver, Ranks::Elsewhere(meeting), tap, outcome, entries, flush_timeout);
    Ok(Mesh::new(parts, options.job, Some(dir)))
}
