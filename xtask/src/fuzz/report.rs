//! What came of all targets: a table for people, and a line of JSON for programs.

use super::run::Outcome;

/// The table.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<16}{:>14}{:>10}{:>10}{:>10}{:>10}  {}\n",
        "target", "executions", "exec/s", "edges", "inputs", "MiB", "found"
    );
    for outcome in outcomes {
        let said = &outcome.said;
        let found = match &said.found {
            Some(path) => path.display().to_string(),
            None if outcome.passed => "nothing".to_owned(),
            None => "ended early".to_owned(),
        };
        text += &format!(
            "{:<16}{:>14}{:>10}{:>10}{:>10}{:>10}  {found}\n",
            outcome.name,
            said.executions,
            outcome.rate(),
            said.coverage,
            said.corpus,
            said.rss_mib
        );
    }
    text
}

/// The line of JSON.
pub(crate) fn json(outcomes: &[Outcome]) -> String {
    let one = |outcome: &Outcome| {
        serde_json::json!({
            "target": outcome.name,
            "executions": outcome.said.executions,
            "exec_per_s": outcome.rate(),
            "edges": outcome.said.coverage,
            "inputs": outcome.said.corpus,
            "rss_mib": outcome.said.rss_mib,
            "passed": outcome.passed,
            "found": outcome.said.found,
        })
    };
    serde_json::json!({ "fuzz": outcomes.iter().map(one).collect::<Vec<_>>() }).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::said::Said;
    use super::*;

    fn outcomes() -> [Outcome; 2] {
        let time = Duration::from_secs(2);
        let said = |found: Option<&str>| {
            let mut said = Said::default();
            (said.executions, said.found) = (500, found.map(Into::into));
            said
        };
        [
            Outcome { name: "hub".to_owned(), said: said(None), time, passed: true },
            Outcome { name: "engine".to_owned(), said: said(Some("/t/crash-1")), time, passed: false },
        ]
    }

    #[test]
    fn every_target_has_a_line_with_what_was_found() {
        let table = table(&outcomes());
        let lines: Vec<_> = table.lines().collect();
        assert!(lines[1].starts_with("hub") && lines[1].contains(" 250 ") && lines[1].ends_with("nothing"));
        assert!(lines[2].ends_with("/t/crash-1"), "{table}");
    }

    #[test]
    fn the_last_line_is_one_line_of_json() {
        let text = json(&outcomes());
        assert!(!text.contains('\n'));
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["fuzz"][1]["found"], "/t/crash-1");
        assert_eq!((&read["fuzz"][0]["exec_per_s"], &read["fuzz"][0]["passed"]), (&250.into(), &true.into()));
    }
}
