//! The commands that go on until they are interrupted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use ntlpc_proto::inspect::{PortRow, ProcessRow};

use crate::Failure;
use crate::query::Tool;
use crate::table;

/// Time between two looks of `monitor`.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two pictures of `top`.
const PICTURE: Duration = Duration::from_secs(1);
/// Ports in a picture.
const SHOWN: usize = 30;

/// Prints a line for each port and process that came or went since the last look.
pub fn monitor(out: &mut impl Write, tool: &Tool) -> Result<(), Failure> {
    let mut ports: BTreeMap<u64, PortRow> = BTreeMap::new();
    let mut processes: BTreeMap<u32, ProcessRow> = BTreeMap::new();
    loop {
        let now: BTreeMap<u32, ProcessRow> = tool
            .processes()?
            .into_iter()
            .map(|row| (row.process, row))
            .collect();
        for row in now
            .values()
            .filter(|row| !processes.contains_key(&row.process))
        {
            write!(out, "+ process ")?;
            table::process_line(out, row)?;
        }
        let ports_now: BTreeMap<u64, PortRow> = tool
            .ports()?
            .into_iter()
            .map(|row| (row.port, row))
            .collect();
        for row in ports_now
            .values()
            .filter(|row| !ports.contains_key(&row.port))
        {
            write!(out, "+ port ")?;
            table::port_line(out, row)?;
        }
        for row in ports
            .values()
            .filter(|row| !ports_now.contains_key(&row.port))
        {
            write!(out, "- port ")?;
            table::port_line(out, row)?;
        }
        for row in processes
            .values()
            .filter(|row| !now.contains_key(&row.process))
        {
            write!(out, "- process ")?;
            table::process_line(out, row)?;
        }
        out.flush()?;
        (ports, processes) = (ports_now, now);
        sleep(LOOK);
    }
}

/// Shows the ports with the longest queues again and again.
pub fn top(out: &mut impl Write, tool: &Tool) -> Result<(), Failure> {
    /// ECMA-48: cursor home, erase to the end of the screen.
    const CLEAR: &str = "\x1b[H\x1b[J";
    loop {
        let mut ports = tool.ports()?;
        let (count, queued) = (
            ports.len(),
            ports.iter().map(|row| u64::from(row.queued)).sum::<u64>(),
        );
        ports.sort_by_key(|row| (Reverse(row.queued), row.port));
        ports.truncate(SHOWN);
        writeln!(out, "{CLEAR}{count} ports, {queued} messages queued")?;
        table::ports(out, &ports)?;
        out.flush()?;
        sleep(PICTURE);
    }
}
