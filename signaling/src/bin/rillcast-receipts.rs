//! Checks a log of receipts and adds up what each user has given: `rillcast-receipts --authority KEY receipts.jsonl`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rillcast_protocol::id::{AuthorityKey, PeerId};
use rillcast_signaling::receipts::{self, Sealed};

/// Checks a log of receipts and adds up what each user has given.
#[derive(Debug, Parser)]
#[command(name = "rillcast-receipts", version, about)]
struct Arguments {
    /// A public key of the server that gave the tickets, in 64 hex digits; `/health` of the server tells it. Give all that counted.
    #[arg(long = "authority", required = true, value_parser = authority)]
    authorities: Vec<AuthorityKey>,
    /// What `--receipts` of the server has written.
    log: PathBuf,
}

fn authority(hex: &str) -> Result<AuthorityKey, String> {
    let bytes = receipts::bytes_of(hex).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.map(AuthorityKey).ok_or_else(|| "a key has 64 hex digits".to_owned())
}

#[derive(Debug, Default)]
struct Account {
    visits: u64,
    receipts: u64,
    bytes: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}: {error}", arguments.log.display());
            ExitCode::FAILURE
        }
    }
}

/// Whether everything in the log holds.
fn run(arguments: &Arguments) -> std::io::Result<bool> {
    let mut accounts: BTreeMap<(String, String), Account> = BTreeMap::new();
    // Receipts are totals of a pair: a giver that came back shows the same ones again, and they count by their growth.
    let mut counted: BTreeMap<(PeerId, PeerId), u64> = BTreeMap::new();
    let mut seals: BTreeMap<String, usize> = BTreeMap::new();
    let mut good = true;
    for (number, line) in (1..).zip(BufReader::new(File::open(&arguments.log)?).lines()) {
        let Sealed { line, seal } = match serde_json::from_str::<Sealed>(&line?) {
            Ok(sealed) if sealed.is_whole(&arguments.authorities) => sealed,
            Ok(_) => {
                eprintln!(
                    "line {number}: none of these authorities has written it so; it counts for nothing"
                );
                good = false;
                continue;
            }
            Err(error) => {
                eprintln!("line {number}: not a line of receipts: {error}");
                good = false;
                continue;
            }
        };
        if let Some(first) = seals.get(&seal) {
            eprintln!("line {number}: a copy of line {first}; it counts once");
            good = false;
            continue;
        }
        seals.insert(seal, number);
        let who = line.user.clone().unwrap_or_else(|| "-".to_owned());
        let account = accounts.entry((line.site.clone(), who)).or_default();
        account.visits += 1;
        for voucher in &line.vouchers {
            match receipts::check(voucher, &line.peer, &arguments.authorities) {
                Ok(receipt) => {
                    account.receipts += 1;
                    let before = counted.entry((receipt.giver, receipt.receiver)).or_default();
                    account.bytes = account.bytes.saturating_add(receipt.bytes.saturating_sub(*before));
                    *before = receipt.bytes.max(*before);
                }
                Err(why) => {
                    eprintln!("line {number}: a receipt counts for nothing: {why}");
                    good = false;
                }
            }
        }
    }
    println!("{:<20} {:<24} {:>7} {:>9} {:>16}", "site", "user", "visits", "receipts", "bytes vouched");
    for ((site, user), account) in &accounts {
        println!("{site:<20} {user:<24} {:>7} {:>9} {:>16}", account.visits, account.receipts, account.bytes);
    }
    Ok(good)
}
