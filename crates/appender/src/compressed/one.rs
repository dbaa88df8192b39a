//! Compressing one rotated file: at any moment the plain one or the compressed one is whole and has its name.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::file::CompressedFile;
use super::packer::{Packer, Stop};
use crate::files::Segment;
use crate::form::Form;
use crate::names::UNFINISHED;
use crate::state::AppenderState;
use crate::{Append, Fsync, Reason, Storage};

/// Compresses a file, and takes the plain one away. Blocks for the disk.
pub(super) fn compress(
    shared: &AppenderState,
    segment: &Arc<Segment>,
    packer: &mut Packer,
) -> Result<(), Stop> {
    let (plain, bytes) = open_plain(&*shared.storage, &segment.rotated_name(), segment.bytes())?;
    let mut unfinished = Unfinished::create(shared, segment)?;
    let file = Arc::clone(&unfinished.file);
    let may_write = |more| unfinished.may_write(segment, bytes, more);
    packer.pack(&*plain, bytes, &*file, may_write)?;
    // The other one may have been on the disk for long.
    file.sync().map_err(|error| Stop::later(&error))?;
    let packed = CompressedFile::new(unfinished.name.clone(), file);
    if !packed.is_ok_and(|packed| packed.content_bytes() == bytes) {
        return Err(Stop::Later(Reason::Failed));
    }
    // What somebody has done to it meanwhile holds.
    open_plain(&*shared.storage, &segment.rotated_name(), segment.bytes())?;
    if shared.compressor.is_stopped() || !segment.form.change(Form::Plain, Form::Changing) {
        return Err(Stop::Over);
    }
    let finished = unfinished.finish(segment);
    if finished.is_err() {
        // Unless it was given up.
        segment.form.change(Form::Changing, Form::Plain);
    }
    finished
}

/// The file of this name, when it is as it was written.
fn open_plain(
    storage: &dyn Storage,
    name: &str,
    bytes: u64,
) -> Result<(Arc<dyn Append>, u64), Stop> {
    let opened = storage.open(name).and_then(|file| Ok((file.attributes()?.bytes, file)));
    match opened {
        Ok((found, file)) if found == Some(bytes) && bytes > 0 => Ok((file, bytes)),
        // Another length, or a storage that knows of none.
        Ok(_) => Err(Stop::Stays(None)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Stop::Stays(None)),
        Err(error) => Err(Stop::Stays(Some(Reason::from(&error)))),
    }
}

/// A compressed file that has not its name yet. It goes when this is dropped.
struct Unfinished<'a> {
    shared: &'a AppenderState,
    name: String,
    file: Arc<dyn Append>,
    /// What was counted for it.
    bytes: u64,
    is_kept: bool,
}

impl<'a> Unfinished<'a> {
    fn create(shared: &'a AppenderState, segment: &Segment) -> Result<Self, Stop> {
        let name = segment.compressed_name() + UNFINISHED;
        match shared.storage.create(&name) {
            Ok(file) => Ok(Self { shared, name, file, bytes: 0, is_kept: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Stop::Stays(Some(Reason::from(&error))))
            }
            Err(error) => Err(Stop::later(&error)),
        }
    }

    /// Whether `more` bytes may be written of what shall take the place of so many plain ones.
    fn may_write(&mut self, segment: &Segment, plain: u64, more: u64) -> Result<(), Stop> {
        if self.shared.compressor.is_stopped() || segment.form.get() != Form::Plain {
            return Err(Stop::Over);
        }
        if self.bytes + more >= plain {
            return Err(Stop::Stays(None));
        }
        let (gate, now) = (&self.shared.gate, Instant::now());
        // Written at once, and little at a time.
        drop(gate.pass(&*self.shared.storage, more, now).map_err(Stop::Later)?);
        self.shared.files.take(more);
        self.bytes += more;
        Ok(())
    }

    /// Gives it its name, and removes the plain one.
    fn finish(mut self, segment: &Arc<Segment>) -> Result<(), Stop> {
        let (storage, name) = (&*self.shared.storage, segment.compressed_name());
        match storage.rename(&self.name, &name) {
            Ok(()) => self.name.clone_from(&name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Stop::Stays(Some(Reason::from(&error))));
            }
            Err(error) => return Err(Stop::later(&error)),
        }
        if self.shared.options.fsync != Fsync::Never {
            storage.sync().map_err(|error| Stop::later(&error))?;
        }
        match storage.remove(&segment.rotated_name()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Stop::Stays(Some(Reason::from(&error))));
            }
            _ => {}
        }
        if segment.form.change(Form::Changing, Form::Compressed) {
            self.is_kept = true;
            self.shared.files.shrank(segment, self.bytes);
        }
        // Otherwise it was given up meanwhile: so is this.
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let storage = &*self.shared.storage;
        let ours = self.file.attributes().ok().and_then(|attributes| attributes.file);
        let there = storage.file_of(&self.name).ok().flatten();
        // What has the name may be somebody else's by now.
        if there.is_none() || ours == there {
            // One that stays is read by nobody, and is removed with the job.
            drop(storage.remove(&self.name));
        }
        self.shared.files.give_back(self.bytes);
    }
}
