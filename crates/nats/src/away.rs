//! A broker that is away, told once. Pure.

use std::time::Duration;

/// A broker that is away for less is not told of: it may be started anew.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// Since when a broker is away, as far as it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Away {
    since: Option<Duration>,
    told: bool,
}

/// What is to be said of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Away,
    Back,
}

impl Away {
    /// The broker is there, or not, at the time `now` of some clock.
    pub(crate) fn look(&mut self, up: bool, now: Duration) -> Option<News> {
        if up {
            self.since = None;
            return std::mem::take(&mut self.told).then_some(News::Back);
        }
        let since = *self.since.get_or_insert(now);
        let is_news = !self.told && now.saturating_sub(since) >= TELL_AFTER;
        self.told |= is_news;
        is_news.then_some(News::Away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_that_a_broker_is_away_and_once_that_it_is_back() {
        let mut away = Away::default();
        let looks = [
            (true, 0),
            (false, 1),
            (true, 2),
            (false, 3),
            (false, 5),
            (false, 9),
            (true, 10),
            (true, 11),
        ];
        let said = looks.map(|(up, now)| away.look(up, Duration::from_secs(now)));
        let (gone, back) = (Some(News::Away), Some(News::Back));
        assert_eq!(said, [None, None, None, None, gone, None, back, None]);
    }
}
