//! How rows are printed.

use std::io::{self, Write};

use ntlpc_proto::inspect::{
    DescribePortReply, MessageRow, MessageState, NameRow, PortRow, ProcessRow, ViewRow, WaitKind,
    WaitRow,
};
use ntlpc_proto::port::PortKind;
use ntlpc_proto::process::{GuestWidth, HostKind};

use crate::Failure;
use crate::query::Tool;

/// Prints one line a port.
pub fn ports(out: &mut impl Write, rows: &[PortRow]) -> io::Result<()> {
    writeln!(
        out,
        "{:>6} {:4} {:8} {:>7} {:>4} {:>9} {:>6} {:>6} {:24} NAME",
        "ID", "KIND", "FLAGS", "H/R", "Q", "MAX", "CONN", "PEER", "OWNER"
    )?;
    rows.iter().try_for_each(|row| port_line(out, row))
}

/// Prints the line of one port.
pub fn port_line(out: &mut impl Write, row: &PortRow) -> io::Result<()> {
    writeln!(
        out,
        "{:>6} {:4} {:08x} {:>7} {:>4} {:>9} {:>6} {:>6} {:24} {}",
        row.port,
        kind(row.kind),
        row.flags,
        format!("{}/{}", row.handles, row.references),
        row.queued,
        format!("{}/{}", row.max_message, row.max_info),
        row.connection_port,
        none_if_zero(row.peer),
        owner(row),
        row.name
    )
}

/// Prints a port, its peer and its connection port (lpc §4.1).
pub fn port(out: &mut impl Write, tool: &Tool, id: u64) -> Result<(), Failure> {
    let port = tool.port(id)?.ok_or_else(|| format!("no port {id}"))?;
    let (peer, connection) = (port.row.peer, port.row.connection_port);
    block(out, &port)?;
    for other in [peer, connection] {
        if other != 0
            && other != id
            && let Some(other) = tool.port(other)?
        {
            writeln!(out)?;
            block(out, &other)?;
        }
    }
    Ok(())
}

/// Prints where messages are: all, or the one with an id (lpc §4.2).
pub fn messages(out: &mut impl Write, tool: &Tool, id: Option<u32>) -> Result<(), Failure> {
    let is_wanted = |message_id: u32| id.is_none_or(|id| id == message_id);
    let found: Vec<MessageRow> = tool
        .messages()?
        .into_iter()
        .filter(|row| is_wanted(row.message_id))
        .collect();
    found.iter().try_for_each(|row| message(out, row))?;
    let waiting: Vec<WaitRow> = tool
        .waits()?
        .into_iter()
        .filter(|row| row.message_id != 0 && is_wanted(row.message_id))
        .collect();
    waiting.iter().try_for_each(|row| wait(out, row))?;
    match id {
        Some(id) if found.is_empty() && waiting.is_empty() => {
            Err(format!("message {id:08x} is neither queued nor awaited").into())
        }
        _ => Ok(()),
    }
}

/// Prints threads and what they wait for: all, or the one with a thread id.
pub fn threads(out: &mut impl Write, tool: &Tool, tid: Option<u32>) -> Result<(), Failure> {
    let waits = tool.waits()?;
    let mut is_found = tid.is_none();
    for row in tool
        .threads()?
        .iter()
        .filter(|row| tid.is_none_or(|tid| tid == row.tid))
    {
        is_found = true;
        write!(
            out,
            "{}.{} (linux {}, number {})",
            row.pid, row.tid, row.linux_tid, row.tno
        )?;
        if row.is_impersonating {
            write!(out, " impersonating")?;
        }
        if !row.terminate_ports.is_empty() {
            write!(out, " terminate ports {:?}", row.terminate_ports)?;
        }
        writeln!(out)?;
        for row in waits
            .iter()
            .filter(|wait| (wait.pid, wait.tid) == (row.pid, row.tid))
        {
            wait(out, row)?;
        }
    }
    match is_found {
        true => Ok(()),
        false => Err(format!("thread {} uses no port", tid.unwrap_or_default()).into()),
    }
}

/// Prints who waits for whom.
pub fn waits(out: &mut impl Write, rows: &[WaitRow]) -> io::Result<()> {
    rows.iter().try_for_each(|row| wait(out, row))
}

/// Prints one line a process.
pub fn processes(out: &mut impl Write, rows: &[ProcessRow]) -> io::Result<()> {
    writeln!(
        out,
        "{:>8} {:>8} {:>6} {:10} {:3} {:>7} {:>6} {:>9} IMAGE",
        "PID", "LINUX", "USER", "HOST", "BIT", "THREADS", "PORTS", "EXCEPTION"
    )?;
    rows.iter().try_for_each(|row| process_line(out, row))
}

/// Prints the line of one process.
pub fn process_line(out: &mut impl Write, row: &ProcessRow) -> io::Result<()> {
    writeln!(
        out,
        "{:>8} {:>8} {:>6} {:10} {:3} {:>7} {:>6} {:>9} {}",
        row.pid,
        none_if_zero(u64::from(row.linux_pid)),
        row.uid,
        match row.host {
            HostKind::Standalone => "lpcrun",
            HostKind::Wine => "wine",
            HostKind::Native => "native",
            HostKind::Tool => "tool",
        },
        match row.width {
            GuestWidth::X64 => 64,
            GuestWidth::X86 => 32,
        },
        row.threads,
        row.ports,
        none_if_zero(row.exception_port),
        row.image
    )
}

/// Prints one line a name.
pub fn names(out: &mut impl Write, rows: &[NameRow]) -> io::Result<()> {
    rows.iter()
        .try_for_each(|row| writeln!(out, "{:14} {}", row.type_name, row.name))
}

fn block(out: &mut impl Write, port: &DescribePortReply) -> io::Result<()> {
    let row = &port.row;
    let title = match row.kind {
        PortKind::Connection => "Server connection port",
        PortKind::Unconnected => "Unconnected port",
        PortKind::Server => "Server communication port",
        PortKind::Client => "Client communication port",
    };
    writeln!(
        out,
        "{title}: {}  Type: {}  Flags: {:08x}",
        row.port, row.type_name, row.flags
    )?;
    if !row.name.0.is_empty() {
        writeln!(out, "    Name: {}", row.name)?;
    }
    writeln!(
        out,
        "    Handles: {}   References: {}",
        row.handles, row.references
    )?;
    writeln!(
        out,
        "    Creator: {}.{} ({})",
        row.owner_pid, row.creator_tid, row.owner_image
    )?;
    writeln!(
        out,
        "    Largest message: {}   Largest connection information: {}",
        row.max_message, row.max_info
    )?;
    if row.connection_port != row.port {
        writeln!(
            out,
            "    Connected port: {}   Server connection port: {}",
            none_if_zero(row.peer),
            row.connection_port
        )?;
    }
    if row.kind == PortKind::Server {
        writeln!(out, "    PortContext: {:#x}", row.context)?;
    }
    match row.queued {
        0 => writeln!(out, "    The message queue is empty")?,
        count => writeln!(out, "    The message queue contains {count} messages")?,
    }
    port.messages.iter().try_for_each(|row| message(out, row))?;
    port.waits.iter().try_for_each(|row| wait(out, row))?;
    port.views.iter().try_for_each(|row| view(out, row))
}

fn message(out: &mut impl Write, row: &MessageRow) -> io::Result<()> {
    write!(
        out,
        "    {} port {} Id={:08x} From: {}.{} Context={:x} Length={:04x}{:04x} Type={:08x} ({})",
        match row.state {
            MessageState::Queued => "queued  ",
            MessageState::Received => "received",
        },
        row.port,
        row.message_id,
        row.pid,
        row.tid,
        row.context,
        row.total_length,
        row.data_length,
        row.message_type,
        type_name(row.message_type)
    )?;
    if row.callback_id != 0 {
        write!(out, " CallbackId={:08x}", row.callback_id)?;
    }
    if !row.data.0.is_empty() {
        write!(out, " Data:")?;
        for word in row.data.0.chunks(4) {
            let mut bytes = [0; 4];
            bytes[..word.len()].copy_from_slice(word);
            write!(out, " {:08x}", u32::from_le_bytes(bytes))?;
        }
    }
    writeln!(out)
}

fn wait(out: &mut impl Write, row: &WaitRow) -> io::Result<()> {
    write!(out, "    thread {}.{} waits ", row.pid, row.tid)?;
    match row.kind {
        WaitKind::None => write!(out, "for nothing")?,
        WaitKind::Receive => write!(out, "for a message at port {}", row.port)?,
        WaitKind::Connect => write!(
            out,
            "for connection {:08x} at port {}",
            row.message_id, row.port
        )?,
        WaitKind::Reply => write!(
            out,
            "for the reply to {:08x} at port {}",
            row.message_id, row.port
        )?,
    }
    if row.holder_pid != 0 {
        write!(out, " of process {}", row.holder_pid)?;
    }
    if row.holder_tid != 0 {
        write!(out, ", received by thread {}", row.holder_tid)?;
    }
    writeln!(out)
}

fn view(out: &mut impl Write, row: &ViewRow) -> io::Result<()> {
    writeln!(
        out,
        "    {} section: {:#x} bytes at {:#x} in the client, {:#x} in the server",
        if row.is_client_section {
            "client"
        } else {
            "server"
        },
        row.size,
        row.client_base,
        row.server_base
    )
}

fn kind(kind: PortKind) -> &'static str {
    match kind {
        PortKind::Connection => "CONN",
        PortKind::Unconnected => "UNC",
        PortKind::Server => "SRV",
        PortKind::Client => "CLI",
    }
}

fn owner(row: &PortRow) -> String {
    // The name alone: the path before it is the same for most.
    let image = row
        .owner_image
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    format!("{} {image}", row.owner_pid)
}

fn none_if_zero(id: u64) -> String {
    if id == 0 {
        "-".to_owned()
    } else {
        id.to_string()
    }
}

/// Names of message types (lpc §1.9).
fn type_name(message_type: u32) -> &'static str {
    match message_type & 0xFFF {
        0 => "LPC_NEW_MESSAGE",
        1 => "LPC_REQUEST",
        2 => "LPC_REPLY",
        3 => "LPC_DATAGRAM",
        4 => "LPC_LOST_REPLY",
        5 => "LPC_PORT_CLOSED",
        6 => "LPC_CLIENT_DIED",
        7 => "LPC_EXCEPTION",
        8 => "LPC_DEBUG_EVENT",
        9 => "LPC_ERROR_EVENT",
        10 => "LPC_CONNECTION_REQUEST",
        _ => "?",
    }
}
