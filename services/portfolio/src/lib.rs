//! Profiles, portfolios and every other domain.
