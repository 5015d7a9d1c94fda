//! The smart feed's score: a pure function on what is known of a portfolio, its owner and the viewer.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// How viewer and owner stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    Mutual,
    /// The viewer follows the owner.
    OneWay,
    None,
}

/// A published portfolio that may be shown.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub id: Uuid,
    pub owner: Uuid,
    pub published_at: Option<DateTime<Utc>>,
    pub likes: i64,
    pub views: i64,
    pub has_thumbnail: bool,
    pub has_blocks: bool,
    pub tags: Vec<Uuid>,
    /// Of the owner.
    pub kelas: Option<Uuid>,
    /// Of the owner.
    pub jurusan: Option<Uuid>,
    /// 1 to 10.
    pub assessment: Option<f64>,
}

/// The highest of all published portfolios, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maxima {
    pub likes: i64,
    pub views: i64,
}

/// What the published portfolios are about that somebody likes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interests {
    pub tags: HashMap<Uuid, i64>,
    /// Majors of the owners.
    pub jurusan: HashMap<Uuid, i64>,
    /// Whether there are any likes at all.
    pub any: bool,
}

/// The viewer.
#[derive(Clone, Debug, Default)]
pub struct Viewer {
    pub kelas: Option<Uuid>,
    pub jurusan: Option<Uuid>,
    pub interests: Interests,
}

/// Between 0 and 1.
pub fn score(candidate: &Candidate, viewer: &Viewer, following: Following, maxima: Maxima, now: DateTime<Utc>) -> f64 {
    let following = match following {
        Following::Mutual => 1.0,
        Following::OneWay => 0.8,
        Following::None => 0.0,
    };
    0.30 * following
        + 0.25 * recency(candidate.published_at, now)
        + 0.20 * engagement(candidate, maxima)
        + 0.15 * relevance(candidate, viewer)
        + 0.10 * quality(candidate)
}

fn recency(published_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
    let Some(age) = published_at.map(|at| now - at) else { return 0.2 };
    if age <= TimeDelta::hours(24) {
        1.0
    } else if age <= TimeDelta::days(7) {
        0.8
    } else if age <= TimeDelta::days(30) {
        0.5
    } else {
        0.2
    }
}

fn engagement(candidate: &Candidate, maxima: Maxima) -> f64 {
    let share = |value: i64, most: i64| (number(value) / number(most.max(1))).min(1.0);
    0.6 * share(candidate.likes, maxima.likes) + 0.4 * share(candidate.views, maxima.views)
}

fn relevance(candidate: &Candidate, viewer: &Viewer) -> f64 {
    if !viewer.interests.any {
        return 0.5;
    }
    let same_kelas = candidate.kelas.is_some() && candidate.kelas == viewer.kelas;
    0.5 * relevance_of_tags(&candidate.tags, &viewer.interests.tags)
        + 0.3 * relevance_of_jurusan(candidate.jurusan, viewer)
        + if same_kelas { 0.2 } else { 0.0 }
}

fn relevance_of_tags(tags: &[Uuid], liked: &HashMap<Uuid, i64>) -> f64 {
    let (mut matched, mut sum) = (0, 0);
    for count in tags.iter().filter_map(|tag| liked.get(tag)) {
        matched += 1;
        sum += count;
    }
    if matched == 0 {
        return 0.0;
    }
    let all = i64::try_from(tags.len()).unwrap_or(i64::MAX);
    f64::midpoint(number(matched) / number(all), (number(sum).ln_1p() / 5.0).min(1.0))
}

fn relevance_of_jurusan(jurusan: Option<Uuid>, viewer: &Viewer) -> f64 {
    let Some(jurusan) = jurusan else { return 0.0 };
    let liked = viewer.interests.jurusan.get(&jurusan).copied().unwrap_or(0);
    let same = if viewer.jurusan == Some(jurusan) { 0.5 } else { 0.0 };
    ((number(liked).ln_1p() / 5.0).min(0.5) + same).min(1.0)
}

fn quality(candidate: &Candidate) -> f64 {
    let half = |is_there: bool| if is_there { 0.5 } else { 0.0 };
    let completeness = half(candidate.has_thumbnail) + half(candidate.has_blocks);
    match candidate.assessment {
        Some(assessment) if assessment > 0.0 => 0.7 * assessment / 10.0 + 0.3 * completeness,
        _ => completeness,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn number(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAXIMA: Maxima = Maxima { likes: 20, views: 100 };

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_000, 0).unwrap()
    }

    fn example() -> (Candidate, Viewer) {
        let candidate = Candidate {
            id: id(1),
            owner: id(2),
            published_at: Some(now() - TimeDelta::days(3)),
            likes: 10,
            views: 30,
            has_thumbnail: true,
            has_blocks: true,
            tags: vec![id(10), id(11)],
            kelas: Some(id(20)),
            jurusan: Some(id(30)),
            assessment: Some(8.0),
        };
        let interests =
            Interests { tags: HashMap::from([(id(10), 3)]), jurusan: HashMap::from([(id(30), 4)]), any: true };
        (candidate, Viewer { kelas: Some(id(20)), jurusan: Some(id(30)), interests })
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn the_example_of_the_contract_has_its_check_value() {
        let (candidate, viewer) = example();
        close(engagement(&candidate, MAXIMA), 0.42);
        close(relevance(&candidate, &viewer), 0.640_881);
        close(quality(&candidate), 0.86);
        close(score(&candidate, &viewer, Following::Mutual, MAXIMA, now()), 0.766_132);
    }

    #[test]
    fn following_one_way_weighs_four_fifths_and_being_followed_nothing() {
        let (candidate, viewer) = example();
        let with = |following| score(&candidate, &viewer, following, MAXIMA, now());
        close(with(Following::Mutual) - with(Following::OneWay), 0.06);
        close(with(Following::Mutual) - with(Following::None), 0.30);
    }

    #[test]
    fn age_counts_in_steps_whose_ends_belong_to_the_younger() {
        let aged = |age: TimeDelta| recency(Some(now() - age), now());
        for (age, expected) in [
            (TimeDelta::hours(24), 1.0),
            (TimeDelta::hours(24) + TimeDelta::seconds(1), 0.8),
            (TimeDelta::days(7), 0.8),
            (TimeDelta::days(7) + TimeDelta::seconds(1), 0.5),
            (TimeDelta::days(30), 0.5),
            (TimeDelta::days(30) + TimeDelta::seconds(1), 0.2),
        ] {
            close(aged(age), expected);
        }
        close(recency(None, now()), 0.2);
    }

    #[test]
    fn engagement_never_exceeds_one_and_an_empty_school_divides_by_nothing() {
        let (mut candidate, _) = example();
        close(engagement(&candidate, Maxima { likes: 0, views: 0 }), 1.0);
        (candidate.likes, candidate.views) = (0, 0);
        close(engagement(&candidate, Maxima { likes: 0, views: 0 }), 0.0);
    }

    #[test]
    fn whoever_likes_nothing_finds_everything_half_relevant() {
        let (candidate, mut viewer) = example();
        viewer.interests = Interests::default();
        close(relevance(&candidate, &viewer), 0.5);
    }

    #[test]
    fn parts_of_the_relevance() {
        let (mut candidate, mut viewer) = example();
        candidate.tags = vec![id(12)];
        close(relevance_of_tags(&candidate.tags, &viewer.interests.tags), 0.0);
        candidate.tags = vec![id(10)];
        viewer.interests.tags.insert(id(10), 1_000_000);
        close(relevance_of_tags(&candidate.tags, &viewer.interests.tags), 1.0);
        viewer.interests.jurusan.insert(id(30), 1_000_000);
        close(relevance_of_jurusan(candidate.jurusan, &viewer), 1.0);
        viewer.jurusan = None;
        close(relevance_of_jurusan(candidate.jurusan, &viewer), 0.5);
        close(relevance_of_jurusan(None, &viewer), 0.0);
        // Two who are in no class are not in the same one.
        (candidate.kelas, viewer.kelas, candidate.jurusan) = (None, None, None);
        candidate.tags.clear();
        close(relevance(&candidate, &viewer), 0.0);
    }

    #[test]
    fn quality_without_an_assessment_is_completeness() {
        let (mut candidate, _) = example();
        candidate.assessment = None;
        close(quality(&candidate), 1.0);
        candidate.has_thumbnail = false;
        close(quality(&candidate), 0.5);
        candidate.has_blocks = false;
        close(quality(&candidate), 0.0);
        candidate.assessment = Some(10.0);
        close(quality(&candidate), 0.7);
    }
}
