//! The name of a portfolio in the address of its page.

/// Pages of the web client that live where portfolios do.
const RESERVED: [&str; 2] = ["edit", "portfolios"];
const LONGEST: usize = 200;

/// The slug of a title, before it is made unique.
pub fn base(judul: &str) -> String {
    let mut slug = String::new();
    for c in judul.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' if slug.len() < LONGEST => slug.push(c),
            '-' if !slug.is_empty() && !slug.ends_with('-') && slug.len() < LONGEST => slug.push('-'),
            c if c.is_whitespace() && !slug.is_empty() && !slug.ends_with('-') && slug.len() < LONGEST => {
                slug.push('-');
            }
            _ => {}
        }
    }
    let trimmed = slug.trim_end_matches('-').len();
    slug.truncate(trimmed);
    if slug.is_empty() { "portfolio".to_owned() } else { slug }
}

/// The slug to use: the base, or the base with the lowest number that is free. `taken` are the owner's other slugs.
pub fn unique(base: &str, taken: &[String]) -> String {
    if !RESERVED.contains(&base) && !taken.iter().any(|slug| slug == base) {
        return base.to_owned();
    }
    let mut number = 1_u32;
    loop {
        let slug = format!("{base}-{number}");
        if !taken.contains(&slug) {
            return slug;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_of_the_contract() {
        for (judul, slug) in [
            ("Website Portfolio Pribadi", "website-portfolio-pribadi"),
            ("  C++ & Rust!! ", "c-rust"),
            ("my_app", "myapp"),
            ("日本", "portfolio"),
            ("Edit", "edit-1"),
            ("Portfolios", "portfolios-1"),
            ("- a -- b -", "a-b"),
        ] {
            assert_eq!(unique(&base(judul), &[]), slug, "{judul}");
        }
    }

    #[test]
    fn a_taken_slug_gets_the_lowest_free_number() {
        let taken = |slugs: &[&str]| slugs.iter().map(|&slug| slug.to_owned()).collect::<Vec<_>>();
        assert_eq!(unique("a", &taken(&["a"])), "a-1");
        assert_eq!(unique("a", &taken(&["a", "a-1", "a-3"])), "a-2");
        assert_eq!(unique("edit", &taken(&["edit-1"])), "edit-2");
    }

    proptest! {
        #[test]
        fn a_base_is_short_plain_and_well_formed(judul in ".{0,300}") {
            let slug = base(&judul);
            prop_assert!(!slug.is_empty() && slug.len() <= LONGEST);
            prop_assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
            prop_assert_eq!(base(&slug), slug);
        }
    }
}
