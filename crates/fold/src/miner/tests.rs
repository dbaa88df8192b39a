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

#[test]
fn a_fraction_is_no_port() {
    let lines = ["at e1.5.:0.25 now", "at e1.5.:0.75 now", "at e1.5.:0.5 now", "at e1.5.:80 now"];
    let lines = lines.map(str::to_owned);
    assert_eq!(read(&lines, false), read(&lines, true));
}

/// A name that no other number gives.
fn name(number: u32) -> String {
    let letters = (0..5).map(|place| char::from(b'a' + (number / 26_u32.pow(place) % 26) as u8));
    letters.collect()
}

#[test]
fn endless_names_in_two_places_are_one_statement() {
    let mut miner = Miner::default();
    let line = |at: u32| format!("copied volume {} of host {} to us", name(at), name(at ^ 0x155));
    let groups: Vec<GroupId> = (0..200_000).map(|at| miner.group(line(at).as_bytes())).collect();
    let last = miner.resolve(groups[groups.len() - 1]);
    // What was said before it was known that the names vary may be forgotten.
    assert!(groups[100..].iter().all(|&group| miner.resolve(group) == last));
}

#[test]
fn what_is_known_is_bounded_and_what_is_in_use_stays() {
    let mut miner = Miner::new(MinerOptions { max_statements: 100 });
    let user = |at: u32| format!("session opened for user {} by us", name(at));
    let opened = (0..20).map(|at| miner.group(user(at).as_bytes())).last();
    for at in 0..20_000 {
        let words = [3, 7, 11, 13].map(|step| name(at * step + 7));
        miner.group(words.join(" ").as_bytes());
        if at % 50 == 0 {
            assert_eq!(Some(miner.group(user(100 + at).as_bytes())), opened, "{at}");
        }
    }
    assert!(miner.families.held() <= 202, "{}", miner.families.held());
}

#[test]
fn the_places_of_an_open_part_cover_it() {
    let mut miner = Miner::default();
    let lines = [
        "collecting rich[jupyter]<14,>=9 for us in 3 s",
        "collecting numpy>=1.21 for us in 12 s",
        "collecting flask for us in 4 s",
    ];
    for line in &lines {
        miner.group(line.as_bytes());
    }
    let mut layouts = Vec::new();
    for (line, wanted) in lines.iter().zip(["rich[jupyter]<14,>=9", "numpy>=1.21", "flask"]) {
        let statement = miner.statement(line.as_bytes());
        let first = statement.variables[0].of(statement.text);
        assert_eq!(first, wanted.as_bytes());
        layouts.push((statement.layout, statement.variables.len()));
    }
    assert_eq!(layouts, [layouts[0]; 3]);
}

proptest! {
    #[test]
    fn lines_of_one_layout_differ_in_their_variables_alone(
        choices in prop::collection::vec((0_usize..6, 0_usize..6, 0_usize..4, 0_usize..4), 1..60),
    ) {
        let verbs = ["moved", "took", "(kept)", "w.add", "lost,", "saved"];
        let names = ["alpha", "b.c>=1.2", "[x y]", "'z z'", "a, b, c", "(nil)"];
        let ends = ["", " (of 5 more)", " 1, 2, 3", " ..."];
        let lines: Vec<String> = choices.iter().map(|&(verb, name, end, more)| {
            format!("we have {} job {} from our side{}: k={}", verbs[verb], names[name], ends[end], names[more])
        }).collect();
        let mut miner = Miner::default();
        for line in &lines {
        miner.group(line.as_bytes());
    }
        let mut around = std::collections::HashMap::new();
        for line in &lines {
            let statement = miner.statement(line.as_bytes());
            let (mut rest, mut from) = (String::new(), 0);
            for at in statement.variables {
                rest += &line[from..at.start as usize];
                rest += "\0";
                from = at.end as usize;
            }
            rest += &line[from..];
            let key = (statement.group, statement.layout, statement.variables.len());
            prop_assert_eq!(around.entry(key).or_insert_with(|| rest.clone()), &rest);
        }
    }
}
