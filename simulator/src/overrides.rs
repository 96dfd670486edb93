//! Scenarios with some fields said on the command line: `--set links.correlation=0`.

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use crate::scenario::Scenario;

/// Loads a scenario and puts other values in: each `key=value` with a dotted key, and a value as TOML writes it. `peers` is
/// how many watch at the most, a crowd included.
pub(crate) fn load(name: &str, sets: &[String], peers: Option<usize>) -> Result<Scenario> {
    let text = Scenario::text(name)?;
    let mut table: Table = text.parse().with_context(|| name.to_owned())?;
    for set in sets {
        let Some((key, value)) = set.split_once('=') else { bail!("--set {set}: write it as key=value") };
        put(&mut table, key.trim(), read(value.trim())).with_context(|| format!("--set {set}"))?;
    }
    let text = toml::to_string(&table)?;
    let mut scenario =
        Scenario::parse(&text).with_context(|| format!("scenario {name} with {}", sets.join(", ")))?;
    if let Some(peers) = peers {
        scenario.resize(peers);
        scenario.check()?;
    }
    Ok(scenario)
}

/// A word that isn't TOML is meant as a string.
fn read(text: &str) -> Value {
    let read = format!("value = {text}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn put(table: &mut Table, key: &str, value: Value) -> Result<()> {
    let Some((first, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return Ok(());
    };
    match table.entry(first.to_owned()).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(inner) => put(inner, rest, value),
        Value::Array(all) => {
            let (place, rest) = rest.split_once('.').unwrap_or((rest, ""));
            let inner = place.parse::<usize>().ok().and_then(|place| all.get_mut(place));
            match inner {
                Some(Value::Table(inner)) if !rest.is_empty() => put(inner, rest, value),
                Some(inner) if rest.is_empty() => {
                    *inner = value;
                    Ok(())
                }
                _ => bail!("{first} has no {place}"),
            }
        }
        _ => bail!("{first} has no fields"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(sets: &[&str]) -> Result<Scenario> {
        load("peer2view", &sets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), Some(70))
    }

    #[test]
    fn any_field_can_be_said_on_the_command_line() {
        let scenario = with(&[
            "links.correlation=0",
            "site.ratio = 1.0",
            "source.total_mbps=50",
            "stream.ladder_kbps.1=800",
            "links.up_kbps.median=1500",
            "viewers.session_seconds={ law = \"fixed\", value = 60 }",
            "about=other words",
        ])
        .expect("right values");
        assert_eq!(scenario.links.correlation, 0.0);
        assert_eq!(scenario.viewers.peers, 70);
        assert_eq!(scenario.site.ratio, 1.0);
        assert_eq!(scenario.source.total_mbps, Some(50.0));
        assert_eq!(scenario.stream.ladder_kbps, [380.0, 800.0, 1400.0]);
        assert_eq!(scenario.viewers.session_seconds, crate::draw::Law::Fixed { value: 60.0 });
        assert_eq!(scenario.about, "other words");
    }

    #[test]
    fn wrong_fields_and_values_are_named() {
        for (set, word) in [
            ("links.corelation=0", "corelation"),
            ("links.correlation=2", "correlation"),
            ("minutes.long=1", "minutes"),
            ("stream.ladder_kbps.9=1", "ladder_kbps"),
            ("peers", "key=value"),
        ] {
            let error = format!("{:#}", with(&[set]).expect_err(set));
            assert!(error.contains(word), "{set}: {error}");
        }
    }
}
