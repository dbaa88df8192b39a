//! One directory of files in memory, as requests see it.

use super::request::{
    Answer, CREATE, FSYNC, FSYNCDIR, Facts, GETATTR, INIT, LOOKUP, OPEN, OPENDIR, READ, READDIR,
    RELEASE, RELEASEDIR, RENAME, RENAME2, ROOT, Request, SETATTR, STATFS, UNLINK, WRITE,
};

#[derive(Default)]
struct File {
    /// None once it was removed.
    name: Option<String>,
    bytes: Vec<u8>,
}

/// The files, in the order in which they were made. A file's node is its place, after the root's.
#[derive(Default)]
pub(super) struct Content {
    files: Vec<File>,
}

fn node_of(place: usize) -> u64 {
    ROOT + 1 + place as u64
}

fn size(number: u64) -> usize {
    usize::try_from(number).expect("BUG: it is in memory")
}

impl Content {
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.place(name).map(|place| &self.files[place].bytes[..])
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.files.iter().position(|file| file.name.as_deref() == Some(name))
    }

    fn known(&self, name: &str) -> Result<usize, i32> {
        self.place(name).ok_or(libc::ENOENT)
    }

    fn file(&mut self, node: u64) -> Result<&mut File, i32> {
        let place = node.checked_sub(node_of(0)).ok_or(libc::EISDIR)?;
        self.files.get_mut(size(place)).ok_or(libc::ENOENT)
    }

    fn facts(&self, node: u64) -> Facts {
        match node.checked_sub(node_of(0)).map(|place| &self.files[size(place)]) {
            None => Facts { node, bytes: 0, mode: libc::S_IFDIR | 0o700, links: 2 },
            Some(file) => {
                let (bytes, links) = (file.bytes.len() as u64, u32::from(file.name.is_some()));
                Facts { node, bytes, mode: libc::S_IFREG | 0o600, links }
            }
        }
    }

    pub(super) fn answer(&mut self, request: &Request<'_>) -> Result<Answer, i32> {
        match request.opcode {
            INIT => Ok(Answer::init()),
            LOOKUP => {
                let place = self.known(first(request, 0))?;
                Ok(Answer::entry(&self.facts(node_of(place))))
            }
            GETATTR => Ok(Answer::attributes(&self.facts(request.node))),
            SETATTR => self.set_attributes(request),
            CREATE => self.create(request),
            OPEN | OPENDIR => Ok(Answer::default().open()),
            READ => self.read(request),
            WRITE => self.write(request),
            READDIR => Ok(self.list(request.u64(8))),
            UNLINK => {
                let place = self.known(first(request, 0))?;
                self.files[place].name = None;
                Ok(Answer::default())
            }
            RENAME => self.rename(request.names(8), false),
            RENAME2 => self.rename(request.names(16), request.u32(8) & libc::RENAME_NOREPLACE > 0),
            STATFS => Ok(Answer::space()),
            RELEASE | RELEASEDIR | FSYNC | FSYNCDIR => Ok(Answer::default()),
            _ => Err(libc::ENOSYS),
        }
    }

    fn set_attributes(&mut self, request: &Request<'_>) -> Result<Answer, i32> {
        const SIZE: u32 = 1 << 3;
        if request.u32(0) & SIZE > 0 {
            self.file(request.node)?.bytes.resize(size(request.u64(16)), 0);
        }
        Ok(Answer::attributes(&self.facts(request.node)))
    }

    fn create(&mut self, request: &Request<'_>) -> Result<Answer, i32> {
        let (name, exclusive) = (first(request, 16), libc::O_EXCL.cast_unsigned());
        let place = match self.place(name) {
            Some(_) if request.u32(0) & exclusive > 0 => return Err(libc::EEXIST),
            Some(place) => place,
            None => {
                self.files.push(File { name: Some(name.to_owned()), bytes: Vec::new() });
                self.files.len() - 1
            }
        };
        Ok(Answer::entry(&self.facts(node_of(place))).open())
    }

    fn read(&mut self, request: &Request<'_>) -> Result<Answer, i32> {
        let (from, most) = (size(request.u64(8)), request.u32(16) as usize);
        let there = self.file(request.node)?.bytes.get(from..).unwrap_or_default();
        Ok(Answer(there[..there.len().min(most)].to_vec()))
    }

    fn write(&mut self, request: &Request<'_>) -> Result<Answer, i32> {
        let (from, count) = (size(request.u64(8)), request.u32(16) as usize);
        let file = self.file(request.node)?;
        let to = from + count;
        file.bytes.resize(file.bytes.len().max(to), 0);
        file.bytes[from..to].copy_from_slice(&request.body[40..40 + count]);
        Ok(Answer::default().u32s(&[request.u32(16), 0]))
    }

    /// All files at once; nothing the second time.
    fn list(&self, from: u64) -> Answer {
        let named = self.files.iter().enumerate().skip(size(from));
        named.fold(Answer::default(), |all, (place, file)| match &file.name {
            Some(name) => all.listed(name, node_of(place), place as u64 + 1),
            None => all,
        })
    }

    fn rename<'a>(
        &mut self,
        mut names: impl Iterator<Item = &'a str>,
        keep: bool,
    ) -> Result<Answer, i32> {
        let (from, to) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let place = self.known(from)?;
        match self.place(to) {
            Some(_) if keep => return Err(libc::EEXIST),
            Some(replaced) => self.files[replaced].name = None,
            None => {}
        }
        self.files[place].name = Some(to.to_owned());
        Ok(Answer::default())
    }
}

fn first<'a>(request: &Request<'a>, at: usize) -> &'a str {
    request.names(at).next().unwrap_or_default()
}
