use chrono::NaiveDate;
use uuid::Uuid;

/// No year begins after this one, so it has no successor.
const LAST_YEAR: i32 = 2100;

/// An armed academic year that was not promoted yet.
#[derive(Clone, Debug)]
pub struct Year {
    pub id: Uuid,
    /// 2025 is 2025/2026.
    pub tahun_mulai: i32,
    pub is_active: bool,
    pub promotion_month: i32,
    pub promotion_day: i32,
    /// In the time zone of the school.
    pub armed_on: NaiveDate,
}

impl Year {
    /// Whether it is to be promoted on the day `as_of`. A year that was armed on its day, or later, is none of those: to
    /// activate an old year, or to move the date into the past, promotes nobody at once.
    pub fn is_due(&self, as_of: NaiveDate) -> bool {
        self.tahun_mulai < LAST_YEAR && self.due_date().is_some_and(|due| self.armed_on < due && due <= as_of)
    }

    /// Its day in the calendar year in which it ends, or the last day of the month where that has no such day.
    pub fn due_date(&self) -> Option<NaiveDate> {
        let month = u32::try_from(self.promotion_month).ok()?;
        let day = u32::try_from(self.promotion_day).ok()?;
        (1..=day).rev().take(31).find_map(|day| NaiveDate::from_ymd_opt(self.tahun_mulai + 1, month, day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn year(tahun_mulai: i32, month: i32, day: i32, armed_on: &str) -> Year {
        Year {
            id: Uuid::nil(),
            tahun_mulai,
            is_active: true,
            promotion_month: month,
            promotion_day: day,
            armed_on: date(armed_on),
        }
    }

    #[test]
    fn a_year_is_due_on_its_day_of_the_next_calendar_year() {
        for (tahun_mulai, month, day, due) in [
            (2025, 7, 1, "2026-07-01"),
            (2025, 12, 31, "2026-12-31"),
            (2026, 1, 1, "2027-01-01"),
            (2025, 2, 29, "2026-02-28"),
            (2027, 2, 29, "2028-02-29"),
            (2099, 2, 29, "2100-02-28"),
            (2025, 4, 31, "2026-04-30"),
        ] {
            assert_eq!(year(tahun_mulai, month, day, "2020-01-01").due_date(), Some(date(due)));
        }
        assert_eq!(year(2025, 13, 1, "2020-01-01").due_date(), None);
        assert_eq!(year(2025, 7, 0, "2020-01-01").due_date(), None);
    }

    #[test]
    fn a_year_is_promoted_from_its_day_on_if_it_was_armed_before() {
        for (armed_on, as_of, due) in [
            ("2025-07-01", "2026-06-30", false),
            ("2025-07-01", "2026-07-01", true),
            ("2025-07-01", "2026-07-20", true),
            ("2025-07-01", "2031-01-01", true),
            ("2026-06-30", "2026-07-01", true),
            ("2026-07-01", "2026-07-01", false),
            ("2026-07-01", "2026-07-20", false),
            ("2026-11-10", "2026-11-10", false),
        ] {
            assert_eq!(year(2025, 7, 1, armed_on).is_due(date(as_of)), due, "{armed_on} {as_of}");
        }
    }

    #[test]
    fn the_last_year_of_all_is_never_promoted() {
        assert!(year(2099, 7, 1, "2099-07-01").is_due(date("2100-07-01")));
        assert!(!year(2100, 7, 1, "2100-07-01").is_due(date("2101-07-01")));
    }
}
