//! The table of results, for the terminal and as Markdown.

use std::{fmt::Write as _, thread};

use super::{Page, load::Wrk};

/// Figures of one kind of page.
pub struct Measured {
    pub name: &'static str,
    pub target: Option<f64>,
    pub wrk: Wrk,
    /// Requests per second of PostgreSQL alone.
    pub pgbench: Option<f64>,
    /// Most statements of a request.
    pub statements: usize,
    pub sequential_scans: Vec<String>,
}

impl Measured {
    pub fn new(page: &Page, wrk: Wrk) -> Self {
        Self { name: page.name, target: page.target, wrk, pgbench: None, statements: 0, sequential_scans: Vec::new() }
    }
}

pub struct Report {
    few: u32,
    many: u32,
    of_few: Vec<Measured>,
    of_many: Vec<Measured>,
    /// MiB of the portfolio service at the end.
    pub memory: f64,
}

impl Report {
    pub fn new(few: u32, many: u32) -> Self {
        Self { few, many, of_few: Vec::new(), of_many: Vec::new(), memory: 0.0 }
    }

    pub fn add(&mut self, portfolios: u32, measured: Measured) {
        if portfolios == self.few { &mut self.of_few } else { &mut self.of_many }.push(measured);
    }

    fn header(&self) -> [String; 10] {
        [
            "page".to_owned(),
            "requests/s".to_owned(),
            "p50 ms".to_owned(),
            "p99 ms".to_owned(),
            "errors".to_owned(),
            "statements".to_owned(),
            "pgbench/s".to_owned(),
            "ratio (target)".to_owned(),
            format!("p50 ms at {}", self.few),
            "growth of p50".to_owned(),
        ]
    }

    fn rows(&self) -> Vec<[String; 10]> {
        let rows = self.of_many.iter().zip(&self.of_few).map(|(many, few)| {
            let ratio = many.pgbench.map_or_else(String::new, |alone| format!("{:.2}", many.wrk.rate / alone));
            let target = many.target.map_or_else(String::new, |target| format!(" ({target})"));
            [
                many.name.to_owned(),
                format!("{:.0}", many.wrk.rate),
                format!("{:.1}", many.wrk.p50),
                format!("{:.1}", many.wrk.p99),
                (many.wrk.errors + few.wrk.errors).to_string(),
                many.statements.to_string(),
                many.pgbench.map_or_else(String::new, |alone| format!("{alone:.0}")),
                ratio + &target,
                format!("{:.1}", few.wrk.p50),
                format!("{:.2}", many.wrk.p50 / few.wrk.p50),
            ]
        });
        rows.collect()
    }

    fn remarks(&self) -> String {
        let mut text = String::new();
        if let [recent, smart, ..] = &*self.of_many {
            writeln!(
                text,
                "p99 of the smart feed: {:.1} times the recent feed's (target: at most 4).",
                smart.wrk.p99 / recent.wrk.p99
            )
            .unwrap();
        }
        writeln!(text, "Memory of the portfolio service at the end: {:.0} MiB (target: below 120).", self.memory)
            .unwrap();
        let scans: Vec<String> = self
            .of_many
            .iter()
            .filter(|page| !page.sequential_scans.is_empty())
            .map(|page| format!("{} ({})", page.name, page.sequential_scans.join(", ")))
            .collect();
        let scans = if scans.is_empty() { "none".to_owned() } else { scans.join("; ") };
        writeln!(text, "Big tables that a plan reads from end to end: {scans}.").unwrap();
        text
    }

    pub fn text(&self) -> String {
        let mut text = format!("{} published portfolios; {}", self.many, conditions());
        for row in std::iter::once(self.header()).chain(self.rows()) {
            let [name, figures @ ..] = row;
            write!(text, "\n{name:<36}").unwrap();
            for figure in figures {
                write!(text, "{figure:>16}").unwrap();
            }
        }
        text + "\n\n" + &self.remarks()
    }

    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Measured: pages of the catalogue\n\nWritten by `make bench`. {} published portfolios with five blocks each, \
             5,000 people, ten likes and forty views a portfolio; {}\n\n",
            self.many,
            conditions(),
        );
        let header = self.header();
        writeln!(text, "| {} |\n|{}", header.join(" | "), " --- |".repeat(header.len())).unwrap();
        for row in self.rows() {
            writeln!(text, "| {} |", row.join(" | ")).unwrap();
        }
        text.push('\n');
        for remark in self.remarks().lines() {
            writeln!(text, "- {remark}").unwrap();
        }
        text
    }
}

fn conditions() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!(
        "release builds behind nginx, durable PostgreSQL, wrk and pgbench at 32 connections for 10 s each, all on {cores} \
         cores. Rate limits are lifted for the run; everything else is as delivered."
    )
}
