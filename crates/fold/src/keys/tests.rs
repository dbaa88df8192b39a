//! What keys tell, beside what a look at each value tells.

use lastline_line::{Member, RankNumbers};
use lastline_testing::stdout;
use proptest::prelude::*;

use super::*;
use crate::column::Column;
use crate::field;
use crate::place::Place;
use crate::values::Text;

/// The values as they are kept when ranks say them one after the other.
fn kept(said: &[String]) -> Values {
    let whole = |text: &String| [Place { start: 0, end: text.len() as u32 }];
    let places = whole(&said[0]);
    let first = Text { text: said[0].as_bytes(), places: &places };
    let mut values = Values::default();
    values.start(1);
    for (member, text) in (1..).zip(&said[1..]) {
        let places = whole(text);
        values.take(member, member, first, Text { text: text.as_bytes(), places: &places });
    }
    values
}

/// What is shown with keys, if they can tell, and without.
fn shown(said: &[String]) -> (Option<String>, String) {
    let (values, first) = (kept(said), said[0].as_bytes());
    let members: Vec<Member> = (0..said.len() as u32)
        .map(|rank| Member { stream: stdout(rank), lines: 1, bytes: 1 })
        .collect();
    let mut column = Column::default();
    values
        .each(0, members.len() as u32, |member, value| column.push(member, value.unwrap_or(first)));
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    };
    let ends = Keys::default().ends(&values, 0, members.len() as u32, first);
    let told = column.tell(&members);
    (
        ends.map(|ends| text(&|into| field::write_range(&ends, into))),
        text(&|into| field::write(&told, first, &RankNumbers, into)),
    )
}

#[test]
fn numbers_of_one_form_are_compared_by_their_bytes() {
    let table: [(&str, Option<&str>); 9] = [
        ("0.75 0.81 0.79", Some("{0.75..0.81}")),
        ("9.98 10.02 9.99", Some("{9.98..10.02}")),
        ("1 2 3 40 50 60 70", Some("{1..70}")),
        ("8/60 10/60 6/60", Some("{6..10}/60")),
        ("0.0012345 0.0912345", Some("{0.0012345..0.0912345}")),
        ("1 2.5", None),
        ("1 -2", None),
        ("1 2 3 4 5000000", None),
        ("7 7 7 8", None),
    ];
    for (said, expected) in table {
        let said: Vec<String> = said.split(' ').map(str::to_owned).collect();
        let (keys, column) = shown(&said);
        assert_eq!(keys.as_deref(), expected, "{said:?}");
        assert!(keys.is_none_or(|keys| keys == column));
    }
}

fn value() -> impl Strategy<Value = String> {
    let decimals = (0_u32..2000, prop::sample::select(vec!["", " ms", "/60"]));
    prop_oneof![
        9 => decimals.prop_map(|(n, unit)| format!("{}.{:02}{unit}", n / 100, n % 100)),
        9 => (0_u32..2000).prop_map(|n| n.to_string()),
        1 => Just("nan".to_owned()),
        1 => Just("-3".to_owned()),
        1 => Just("12345678.12345678".to_owned()),
        1 => "[a-z]{1,60}",
    ]
}

proptest! {
    /// Both are written alike, wherever the keys can tell.
    #[test]
    fn keys_tell_what_a_look_at_each_value_tells(
        some in prop::collection::vec(value(), 1..5),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 2..40),
        spread in prop::collection::vec(0_u32..5000, 2..70),
        form in 0..4,
    ) {
        let picked: Vec<String> = picks.iter().map(|at| at.get(&some).clone()).collect();
        let spread: Vec<String> = spread.iter().map(|n| match form {
            0 => n.to_string(),
            1 => format!("{n:04} s"),
            2 => format!("{}.{:03}", n / 1000, n % 1000),
            _ => format!("0.00000{n:05}"),
        }).collect();
        for said in [picked, spread] {
            let (keys, column) = shown(&said);
            prop_assert!(keys.is_none() || keys.as_ref() == Some(&column), "{:?} {}", keys, column);
        }
    }

    /// Every value is read back as it was put in, with who said it.
    #[test]
    fn values_are_kept(said in prop::collection::vec(prop_oneof![value(), "[a-zµ]{0,70}"], 1..60)) {
        let values = kept(&said);
        let mut read = vec![None; said.len()];
        values.each(0, said.len() as u32, |member, value| {
            read[member as usize] = Some(value.unwrap_or(said[0].as_bytes()).to_vec());
        });
        let put: Vec<_> = said.iter().map(|text| Some(text.clone().into_bytes())).collect();
        prop_assert_eq!(read, put);
    }
}
