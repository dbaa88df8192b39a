//! That it does not matter who comes first where one rank says another value.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::select;

use super::{fold, of_each_rank, order, owned, shown, turns};
use lastline_fold::RanksOptions;

/// A statement with a gap, what most ranks have there and what one has, and how that is shown.
const ODD: [(&str, &str, &str, &str); 12] = [
    (
        "Cuda failure '{}'",
        "peer access",
        "out of memory",
        "Cuda failure '{peer access, 2: out of memory}'",
    ),
    ("running on {}", "A100", "H100", "running on {A100, 2: H100}"),
    ("timeout {} for all", "None", "30", "timeout {None, 2: 30} for all"),
    ("cache size {} now", "auto", "16", "cache size {auto, 2: 16} now"),
    ("threads {} in use", "max", "3", "threads {max, 2: 3} in use"),
    ("power of device {} W", "N/A", "45", "power of device {N/A, 2: 45} W"),
    ("bound to {} only", "cpu9", "gpu1", "bound to {cpu9, 2: gpu1} only"),
    ("listening at {} now", "10.0.0.1", "localhost", "listening at {10.0.0.1, 2: localhost} now"),
    ("buffer at {} freed", "(nil)", "0x10", "buffer at {(nil), 2: 0x10} freed"),
    ("buffer at {} freed", "0x10", "(nil)", "buffer at {0x10, 2: (nil)} freed"),
    ("timeout {} for all", "30", "None", "timeout {30, 2: None} for all"),
    ("step 3 loss {} lr 1e-4", "0.5", "nan", "step 3 loss {0.5, 2: nan} lr 1e-4"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_one_that_is_of_another_kind_is_named_in_every_order(
        (text, common, odd, expected) in select(&ODD[..]),
        around in any::<bool>(),
        turns in turns(24),
    ) {
        let scripts = of_each_rank(8, |rank| {
            let said = text.replace("{}", if rank == 2 { odd } else { common });
            if around { owned(&["starting up", &said, "ready to serve"]) } else { vec![said] }
        });
        let expected = format!("[0-7] {expected}");
        let around_it = ["[0-7] starting up", &expected, "[0-7] ready to serve"];
        let expected = if around { &around_it[..] } else { &around_it[1..2] };
        prop_assert_eq!(shown(8, &scripts, &turns), expected);
    }

    #[test]
    fn a_unit_with_another_value_is_one_entry_in_every_order(turns in turns(8 * 3)) {
        let scripts = of_each_rank(8, |rank| {
            let why = if rank == 2 { "out of memory" } else { "peer access" };
            let last = format!("RuntimeError: Cuda failure '{why}'");
            owned(&["Traceback (most recent call last):", "  File \"a.py\", line 3, in f", &last])
        });
        let expected = "[0-7] Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n\
            RuntimeError: Cuda failure '{peer access, 2: out of memory}'";
        prop_assert_eq!(shown(8, &scripts, &turns), [expected]);
    }

    /// Which values are told apart may depend on how many there are, not on who is first.
    #[test]
    fn who_says_the_same_is_in_one_entry_in_every_order(
        values in prop::collection::vec(
            select(vec!["alpha", "beta", "gamma", "delta", "omega", "7", "x_y", "A100", "(nil)"]),
            2..16,
        ),
        (first, second) in (turns(16), turns(16)),
    ) {
        let ranks = values.len() as u32;
        let scripts = of_each_rank(ranks, |rank| {
            vec![format!("state of the link is {} by now", values[rank as usize])]
        });
        let of = |turns| {
            let given = fold(ranks, &scripts, &order(&scripts, turns), RanksOptions::default());
            let ranks = given.iter().map(|given| given.ranks.to_string());
            ranks.collect::<BTreeSet<String>>()
        };
        let mut entry_of: BTreeMap<&str, String> = BTreeMap::new();
        let given = fold(ranks, &scripts, &order(&scripts, &first), RanksOptions::default());
        for (rank, value) in (0..).zip(&values) {
            let entry = given.iter().find(|given| given.ranks.contains(rank));
            let entry = entry.map(|given| given.ranks.to_string()).unwrap_or_default();
            let known = entry_of.entry(value).or_insert_with(|| entry.clone());
            prop_assert_eq!(&*known, &entry, "{}", value);
        }
        prop_assert_eq!(of(&first), of(&second));
    }
}
