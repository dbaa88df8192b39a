//! What a line consists of, put together: words and variables at their places, and what stands
//! between them.

use super::{BESIDE, GLUE, Item, Kind, STEM, Scan, VARIABLE};
use crate::statement::hash;

impl Scan {
    #[inline]
    pub(super) fn word(&mut self, text: &[u8], start: usize, end: usize) {
        let hash = hash::word(text, start, end);
        self.words += u32::from(!self.is_beside(start));
        self.item(hash, start, end, end, Kind::Word);
    }

    #[inline]
    pub(super) fn variable(&mut self, start: usize, end: usize) {
        let start = self.lead.take().filter(|&lead| lead + 1 == start).unwrap_or(start);
        if self.items.last().is_some_and(|last| last.kind == Kind::Variable) && self.is_list() {
            return self.go_on(VARIABLE, start, start, end, Kind::Variable);
        }
        self.item(VARIABLE, start, start, end, Kind::Variable);
    }

    pub(super) fn stem(&mut self, text: &[u8], start: usize, number: usize, end: usize) {
        let hash = hash::word(text, start, number) ^ STEM;
        let again = |last: &Item| last.kind == Kind::Stem && last.hash == hash;
        if self.items.last().is_some_and(again) && self.is_list() {
            return self.go_on(hash, start, number, end, Kind::Stem);
        }
        self.item(hash, start, number, end, Kind::Stem);
    }

    #[inline]
    fn item(&mut self, hash: u64, start: usize, varies: usize, end: usize, kind: Kind) {
        if self.is_beside(start) {
            self.layout = hash::mix(self.layout ^ hash, STEM);
            return self.push(hash, start, varies, end, BESIDE, kind);
        }
        if self.glue != 0 {
            self.key = self.key.wrapping_add(hash::placed(self.glue, self.place));
        }
        self.clear_glue();
        let place = self.place;
        self.place += 1;
        self.key = self.key.wrapping_add(hash::placed(hash, place));
        self.push(hash, start, varies, end, place, kind);
    }

    /// Another element of a list: the statement is the same however many there are.
    fn go_on(&mut self, hash: u64, start: usize, varies: usize, end: usize, kind: Kind) {
        self.layout = hash::mix(self.layout ^ self.glue ^ VARIABLE, STEM);
        if self.is_beside(start) {
            return self.push(hash, start, varies, end, BESIDE, kind);
        }
        self.clear_glue();
        self.push(hash, start, varies, end, self.place.saturating_sub(1), kind);
    }

    #[inline]
    fn push(&mut self, hash: u64, start: usize, varies: usize, end: usize, place: u32, kind: Kind) {
        self.items.push(Item {
            hash,
            start: start as u32,
            varies: varies as u32,
            end: end as u32,
            place,
            kind,
        });
    }

    /// Whether what stands before the next variable makes it the next one of a list.
    pub(super) fn is_list(&self) -> bool {
        self.glue == 0 || self.glue == single(self.glue_byte) && b",:/".contains(&self.glue_byte)
    }

    /// Notes punctuation.
    #[inline]
    pub(super) fn stick(&mut self, text: &[u8], start: usize, end: usize) {
        for &byte in &text[start..end] {
            if self.is_beside(start) {
                self.layout = hash::mix(self.layout ^ u64::from(byte) ^ 0x100, GLUE);
                self.assigned = if matches!(byte, b':' | b'=') { byte } else { 0 };
                continue;
            }
            self.glue = self.glue.wrapping_mul(GLUE) ^ u64::from(byte) ^ 0x100;
            self.glue_byte = byte;
            self.assigned = if matches!(byte, b':' | b'=') { byte } else { 0 };
        }
    }

    #[inline]
    pub(super) fn clear_glue(&mut self) {
        self.glue = 0;
        self.assigned = 0;
    }
}

/// The glue that is this byte alone.
pub(super) fn single(byte: u8) -> u64 {
    u64::from(byte) ^ 0x100
}
