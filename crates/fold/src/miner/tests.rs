//! That the short way of reading a line gives what the long one does.

use proptest::prelude::*;

use super::*;

/// What a miner says of each line, the long way or not.
fn read(lines: &[String], long: bool) -> Vec<(GroupId, u64, Vec<String>)> {
    let mut miner = Miner::default();
    let read = |line: &String| {
        miner.places.clear();
        let statement = match long {
            true => miner.scanned(line.as_bytes(), 0),
            false => miner.statement(line.as_bytes()),
        };
        let values = statement.variables.iter().map(|at| at.of(statement.text).to_vec());
        let values = values.map(|value| String::from_utf8(value).unwrap()).collect();
        (statement.group, statement.layout, values)
    };
    lines.iter().map(read).collect()
}

fn numbers() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u32..2000).prop_map(|number| number.to_string()),
        (-50_i32..50).prop_map(|number| number.to_string()),
        (0_u32..99999).prop_map(|number| format!("{:.2}", f64::from(number) / 100.0)),
        (0_u32..9999).prop_map(|number| format!("{number}.")),
        (0_u32..9999).prop_map(|number| format!("1,{:03}", number % 1000)),
        (0_u32..86400).prop_map(|t| format!("{:02}:{:02}:{:02}", t / 3600, t / 60 % 60, t % 60)),
        (0_u32..300).prop_map(|number| format!("{number:#x}")),
    ]
}

/// What stands before a number in a line.
const BEFORE: [&str; 18] = [
    "step ", "loss=", "node-", "ab", "took ", ", ", " (", "at <", " ", ":", "/", "e", "[", "#",
    " -", "x\"", "[##", "% |#### ",
];
/// What stands after one.
const AFTER: [&str; 14] =
    [" done", " GB", "ms ", ",", " Jun ", "]", ")", ".", " s", ":", "%", "\" is", "   ]", "## | "];

proptest! {
    #[test]
    fn a_skeleton_says_what_a_scan_says(
        forms in prop::collection::vec(
            prop::collection::vec((0..BEFORE.len(), 0..AFTER.len()), 1..5), 1..4),
        choices in prop::collection::vec((0_usize..4, prop::collection::vec(numbers(), 5)), 1..60),
    ) {
        let lines: Vec<String> = choices.iter().map(|(form, numbers)| {
            let form = &forms[form % forms.len()];
            form.iter().zip(numbers).map(|(&(before, after), number)| {
                format!("{}{number}{}", BEFORE[before], AFTER[after])
            }).collect()
        }).collect();
        prop_assert_eq!(read(&lines, false), read(&lines, true));
    }
}
