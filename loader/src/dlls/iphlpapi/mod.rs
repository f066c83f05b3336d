//! `iphlpapi.dll`: interfaces of the network, their addresses, changes of them.

mod adapters;
mod adapters_info;
mod changes;
mod layout;
mod netioapi;
