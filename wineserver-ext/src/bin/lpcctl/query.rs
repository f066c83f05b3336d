//! Asking the server, page by page.

use ntlpc_proto::inspect::{
    DescribePort, DescribePortReply, ListNames, ListPorts, ListProcesses, ListThreads, MessageRow,
    NameRow, PortRow, ProcessRow, ThreadRow, WaitRow,
};
use ntlpc_proto::process::{Hello, HostKind};
use ntlpc_proto::{CallError, Connection, Name, Prefix, Request, connect_existing};

use crate::Failure;

/// A connection that owns nothing and does not keep the server alive.
pub struct Tool(Connection);

impl Tool {
    /// Connects to the running server of `prefix`.
    pub fn connect(prefix: &Prefix) -> Result<Tool, Failure> {
        let connection = connect_existing(prefix)?.ok_or_else(|| {
            format!(
                "no server runs for {}: no program there uses ports",
                prefix.directory().display()
            )
        })?;
        let hello = Hello {
            host: HostKind::Tool,
            image: "lpcctl".into(),
            ..Hello::default()
        };
        connection.call(&hello, &[])?;
        Ok(Tool(connection))
    }

    /// Returns every port by ascending id.
    pub fn ports(&self) -> Result<Vec<PortRow>, Failure> {
        let mut rows: Vec<PortRow> = Vec::new();
        loop {
            let after = rows.last().map_or(0, |row| row.port);
            let page = self.ask(&ListPorts { after })?;
            let has_more = page.has_more && !page.ports.is_empty();
            rows.extend(page.ports);
            if !has_more {
                return Ok(rows);
            }
        }
    }

    /// Returns one port; `None` if it is gone.
    pub fn port(&self, port: u64) -> Result<Option<DescribePortReply>, Failure> {
        match self.0.call(&DescribePort { port }, &[]) {
            Ok((reply, _)) => Ok(Some(reply)),
            Err(CallError::Refused(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns every thread by ascending number.
    pub fn threads(&self) -> Result<Vec<ThreadRow>, Failure> {
        let mut rows: Vec<ThreadRow> = Vec::new();
        loop {
            let after = rows.last().map_or(u32::MAX, |row| row.tno);
            let page = self.ask(&ListThreads { after })?;
            let has_more = page.has_more && !page.threads.is_empty();
            rows.extend(page.threads);
            if !has_more {
                return Ok(rows);
            }
        }
    }

    /// Returns every process but this one by ascending number.
    pub fn processes(&self) -> Result<Vec<ProcessRow>, Failure> {
        let mut rows: Vec<ProcessRow> = Vec::new();
        loop {
            let after = rows.last().map_or(0, |row| row.process);
            let page = self.ask(&ListProcesses { after })?;
            let has_more = page.has_more && !page.processes.is_empty();
            rows.extend(page.processes);
            if !has_more {
                rows.retain(|row| row.host != HostKind::Tool);
                return Ok(rows);
            }
        }
    }

    /// Returns the names of a directory.
    pub fn names(&self, directory: &str) -> Result<Vec<NameRow>, Failure> {
        let mut rows: Vec<NameRow> = Vec::new();
        loop {
            let after = rows
                .last()
                .map_or_else(Name::default, |row| row.name.clone());
            let page = self.ask(&ListNames {
                directory: directory.into(),
                after,
            })?;
            let has_more = page.has_more && !page.names.is_empty();
            rows.extend(page.names);
            if !has_more {
                return Ok(rows);
            }
        }
    }

    /// Returns every port with its messages and waits.
    pub fn described(&self) -> Result<Vec<DescribePortReply>, Failure> {
        // A port may close between the list and the question; it then has nothing to show.
        self.ports()?
            .iter()
            .filter_map(|row| self.port(row.port).transpose())
            .collect()
    }

    /// Returns every wait.
    pub fn waits(&self) -> Result<Vec<WaitRow>, Failure> {
        Ok(self
            .described()?
            .into_iter()
            .flat_map(|port| port.waits)
            .collect())
    }

    /// Returns every message.
    pub fn messages(&self) -> Result<Vec<MessageRow>, Failure> {
        Ok(self
            .described()?
            .into_iter()
            .flat_map(|port| port.messages)
            .collect())
    }

    fn ask<R: Request>(&self, request: &R) -> Result<R::Reply, Failure> {
        Ok(self.0.call(request, &[])?.0)
    }
}
