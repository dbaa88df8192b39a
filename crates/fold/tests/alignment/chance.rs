//! That values which some ranks have by chance shift nothing: where each has one of its own, two that
//! agree say nothing about a third.

use lastline_fold::RanksOptions;

use super::{fold, of_each_rank};

const RANKS: usize = 8;
const LINES: usize = 100;
const RUNS: u64 = 60;

/// Numbers that look random and are the same each time: Knuth's generator (MMIX), its upper bits.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn values_of_a_few_kinds_shift_nothing() {
    for (form, name) in ["a depth", "a fraction", "two numbers"].into_iter().enumerate() {
        let (mut entries, mut of_all) = (0, 0);
        for run in 0..RUNS {
            let mut numbers = Numbers(run);
            let lines: Vec<String> = (0..RANKS * LINES)
                .map(|_| match (form, numbers.below(10)) {
                    (0, depth) => format!("worker: queue depth {depth}"),
                    (1, quarters) => format!("took {}s", quarters as f32 / 4.0),
                    (_, pool) => format!("pool {pool} gave {} of its pages", numbers.below(4)),
                })
                .collect();
            let scripts =
                of_each_rank(RANKS as u32, |rank| lines[rank as usize * LINES..][..LINES].to_vec());
            let mut left = [LINES; RANKS];
            let mut order = Vec::new();
            while order.len() < RANKS * LINES {
                let (rank, most) = (numbers.below(RANKS), 1 + numbers.below(12));
                let said = left[rank].min(most);
                left[rank] -= said;
                order.extend(std::iter::repeat_n(rank, said));
            }
            let given = fold(RANKS as u32, &scripts, &order, RanksOptions::default());
            entries += given.len();
            of_all += given.iter().filter(|given| given.ranks.len() == RANKS).count();
        }
        // Before it is known that ranks have values of their own, a line may be taken for one of another row.
        let ideal = LINES * RUNS as usize;
        assert!(of_all >= ideal - ideal / 50, "{name}: {of_all} of {ideal} entries are of all");
        assert!(entries <= ideal + ideal / 50, "{name}: {entries} entries for {ideal}");
    }
}
