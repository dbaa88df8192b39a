//! Programs that are linked with MPI, which lastline does not launch as MPI's own launchers do.
//!
//! Without a launcher that speaks PMI or PMIx to it, each process of an MPI program is a world of one:
//! N ranks compute the same N times. That is told where it is certain: the command itself is an ELF
//! file that needs a `libmpi*` library, there are several ranks, and none of the variables is set by
//! which launchers tell a process its place. A script, or an interpreter that loads MPI later, is not
//! looked into.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// By these a process learns its place: PMI of MPICH and of others, PMIx of Open MPI and of Slurm.
const PLACES: [&str; 5] =
    ["PMI_RANK", "PMI_FD", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID"];

/// What is to be said before `ranks` processes of this program are started.
pub(crate) fn advice(program: &Path, ranks: u32) -> Option<String> {
    let has_place = PLACES.iter().any(|name| std::env::var_os(name).is_some());
    if ranks == 1 || has_place {
        return None;
    }
    let file = File::open(program).ok()?;
    let read = |at: u64, bytes: usize| {
        let mut buffer = vec![0; bytes];
        file.read_exact_at(&mut buffer, at).ok().map(|()| buffer)
    };
    let library = needed(read)?.into_iter().find(|library| library.starts_with("libmpi"))?;
    let name = program.display();
    Some(format!(
        "{name} is linked with MPI ({library}), and lastline is no launcher of MPI: each rank is a \
         world of its own; `mpirun -n {ranks} {name}` starts one world of {ranks}"
    ))
}

/// The most that a table of a file is read of, in bytes.
const MAX_TABLE_BYTES: u64 = 1 << 20;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;

/// A part of a file that is in memory when it runs.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

/// The libraries that an ELF file of 64 bits, little-endian, asks the dynamic linker for. `read` gives
/// so many bytes from a place. `None` where it is no such file, or asks for none.
fn needed(read: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Option<Vec<String>> {
    let header = read(0, 64).filter(|header| header.starts_with(b"\x7fELF\x02\x01"))?;
    let (table, size, count) = (wide(&header, 32)?, half(&header, 54)?, half(&header, 56)?);
    let programs = read(table, usize::from(size) * usize::from(count))?;
    let segments: Vec<Segment> =
        programs.chunks_exact(usize::from(size).max(56)).filter_map(segment).collect();
    let dynamic = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
    let entries = read(dynamic.offset, table_bytes(dynamic.bytes)?)?;
    let entries =
        entries.chunks_exact(16).filter_map(|entry| Some((wide(entry, 0)?, wide(entry, 8)?)));
    let entries: Vec<(u64, u64)> = entries.take_while(|(tag, _)| *tag != 0).collect();
    let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
    let (address, bytes) = (value(DT_STRTAB)?, table_bytes(value(DT_STRSZ)?)?);
    let holds = |s: &&Segment| {
        s.kind == PT_LOAD && (s.address..s.address.saturating_add(s.bytes)).contains(&address)
    };
    let segment = segments.iter().find(holds)?;
    let names = read(segment.offset.checked_add(address - segment.address)?, bytes)?;
    let name = |at: u64| {
        let name = names.get(usize::try_from(at).ok()?..)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into_owned())
    };
    let wanted = entries.iter().filter(|(tag, _)| *tag == DT_NEEDED);
    Some(wanted.filter_map(|(_, at)| name(*at)).collect())
}

fn table_bytes(bytes: u64) -> Option<usize> {
    usize::try_from(bytes).ok().filter(|_| bytes <= MAX_TABLE_BYTES)
}

fn segment(header: &[u8]) -> Option<Segment> {
    let kind = u32::from_le_bytes(*header.first_chunk()?);
    let (offset, address, bytes) = (wide(header, 8)?, wide(header, 16)?, wide(header, 32)?);
    Some(Segment { kind, offset, address, bytes })
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn wide(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(file: &[u8]) -> Option<Vec<String>> {
        needed(|at, bytes| {
            let at = usize::try_from(at).ok()?;
            Some(file.get(at..at.checked_add(bytes)?)?.to_vec())
        })
    }

    fn own() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    #[cfg(all(target_pointer_width = "64", target_endian = "little", target_env = "gnu"))]
    fn this_program_needs_the_c_library() {
        assert!(of(&own()).unwrap().iter().any(|library| library.starts_with("libc.so")));
    }

    #[test]
    fn what_is_no_program_needs_nothing() {
        assert_eq!(of(b"#!/bin/sh\n"), None);
        assert_eq!(of(&own()[..100]), None);
    }

    proptest! {
        /// Whatever a file holds, looking into it ends well.
        #[test]
        fn any_bytes_end_well(at in 4_usize..2000, with in any::<[u8; 8]>()) {
            let mut file = own()[..4096].to_vec();
            file[at..at + 8].copy_from_slice(&with);
            of(&file);
        }
    }
}
