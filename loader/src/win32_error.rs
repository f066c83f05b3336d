//! Win32 error codes, and those of NT statuses.

use ntlpc_abi::NtStatus;

/// Win32 error codes by name. Source: Microsoft Learn "System Error Codes", `winerror.h`.
#[allow(
    missing_docs,
    dead_code,
    reason = "the codes of winerror.h by name, used yet or not"
)]
pub mod error {
    pub const SUCCESS: u32 = 0;
    pub const INVALID_FUNCTION: u32 = 1;
    pub const FILE_NOT_FOUND: u32 = 2;
    pub const PATH_NOT_FOUND: u32 = 3;
    pub const ACCESS_DENIED: u32 = 5;
    pub const INVALID_HANDLE: u32 = 6;
    pub const NOT_ENOUGH_MEMORY: u32 = 8;
    pub const INVALID_DATA: u32 = 13;
    pub const BAD_LENGTH: u32 = 24;
    pub const NO_MORE_FILES: u32 = 18;
    pub const NOT_SUPPORTED: u32 = 50;
    pub const INVALID_PARAMETER: u32 = 87;
    pub const CALL_NOT_IMPLEMENTED: u32 = 120;
    pub const INSUFFICIENT_BUFFER: u32 = 122;
    pub const INVALID_NAME: u32 = 123;
    pub const MOD_NOT_FOUND: u32 = 126;
    pub const ALREADY_EXISTS: u32 = 183;
    pub const ENVVAR_NOT_FOUND: u32 = 203;
    pub const MORE_DATA: u32 = 234;
    pub const NO_MORE_ITEMS: u32 = 259;
    pub const IO_INCOMPLETE: u32 = 996;
    pub const IO_PENDING: u32 = 997;
    pub const INVALID_FLAGS: u32 = 1004;
    pub const NO_UNICODE_TRANSLATION: u32 = 1113;
    pub const NOT_FOUND: u32 = 1168;
    pub const NOT_ALL_ASSIGNED: u32 = 1300;
    pub const NONE_MAPPED: u32 = 1332;
    pub const INVALID_SID: u32 = 1337;
    pub const TIMEOUT: u32 = 1460;
    pub const MR_MID_NOT_FOUND: u32 = 317;
    pub const BAD_EXE_FORMAT: u32 = 193;
    pub const FILE_EXISTS: u32 = 80;
    pub const DIRECTORY: u32 = 267;
    pub const NO_DATA: u32 = 232;
    pub const BROKEN_PIPE: u32 = 109;
    pub const PIPE_CONNECTED: u32 = 535;
    pub const INVALID_WINDOW_HANDLE: u32 = 1400;
    pub const INVALID_THREAD_ID: u32 = 1444;
    pub const NOT_ENOUGH_QUOTA: u32 = 1816;
    pub const ALREADY_FIBER: u32 = 1280;
    pub const ALREADY_THREAD: u32 = 1281;
}

macro_rules! dos_errors {
    ($($status:ident = $error:literal;)*) => {
        /// `RtlNtStatusToDosError`: the Win32 error of a status. Source: MS-ERREF §2.3 (mapping as documented there).
        #[must_use]
        pub fn dos_error(status: NtStatus) -> u32 {
            match status {
                $(NtStatus::$status => $error,)*
                // FACILITY_NTWIN32 and HRESULT_FROM_WIN32 carry the code itself.
                NtStatus(value) if value >> 16 == 0xC007 || value >> 16 == 0x8007 || value >> 16 == 0xC001 => value & 0xFFFF,
                NtStatus(value) if value < 0x8000_0000 && value & 0x2000_0000 == 0 && value < 0x100 => value,
                NtStatus(value) if value & 0x2000_0000 != 0 => value,
                // ERROR_MR_MID_NOT_FOUND: what Windows answers for statuses without a mapping.
                _ => error::MR_MID_NOT_FOUND,
            }
        }
    };
}

dos_errors! {
    SUCCESS = 0;
    PENDING = 997;
    TIMEOUT = 258;
    OBJECT_NAME_EXISTS = 698;
    BUFFER_OVERFLOW = 234;
    MORE_ENTRIES = 234;
    NO_MORE_FILES = 18;
    NO_MORE_ENTRIES = 259;
    PARTIAL_COPY = 299;
    GUARD_PAGE_VIOLATION = 0x8000_0001;
    DATATYPE_MISALIGNMENT = 998;
    UNSUCCESSFUL = 31;
    NOT_IMPLEMENTED = 1;
    INVALID_INFO_CLASS = 87;
    INFO_LENGTH_MISMATCH = 24;
    ACCESS_VIOLATION = 998;
    IN_PAGE_ERROR = 999;
    INVALID_HANDLE = 6;
    INVALID_CID = 87;
    INVALID_PARAMETER = 87;
    NO_SUCH_DEVICE = 2;
    NO_SUCH_FILE = 2;
    INVALID_DEVICE_REQUEST = 1;
    END_OF_FILE = 38;
    NO_MEMORY = 8;
    CONFLICTING_ADDRESSES = 487;
    NOT_MAPPED_VIEW = 487;
    UNABLE_TO_FREE_VM = 87;
    FREE_VM_NOT_AT_BASE = 487;
    MEMORY_NOT_ALLOCATED = 487;
    UNABLE_TO_DELETE_SECTION = 87;
    ALREADY_COMMITTED = 5;
    NOT_COMMITTED = 487;
    COMMITMENT_LIMIT = 1455;
    ILLEGAL_INSTRUCTION = 0xC000_001D;
    INVALID_VIEW_SIZE = 5;
    ACCESS_DENIED = 5;
    BUFFER_TOO_SMALL = 122;
    OBJECT_TYPE_MISMATCH = 6;
    NOT_LOCKED = 158;
    INVALID_PORT_ATTRIBUTES = 87;
    PORT_MESSAGE_TOO_LONG = 234;
    OBJECT_NAME_INVALID = 123;
    OBJECT_NAME_NOT_FOUND = 2;
    OBJECT_NAME_COLLISION = 183;
    PORT_DISCONNECTED = 6;
    OBJECT_PATH_INVALID = 161;
    OBJECT_PATH_NOT_FOUND = 3;
    OBJECT_PATH_SYNTAX_BAD = 161;
    SECTION_TOO_BIG = 8;
    PORT_CONNECTION_REFUSED = 5;
    INVALID_PORT_HANDLE = 6;
    SHARING_VIOLATION = 32;
    QUOTA_EXCEEDED = 1816;
    INVALID_PAGE_PROTECTION = 87;
    MUTANT_NOT_OWNED = 288;
    SEMAPHORE_LIMIT_EXCEEDED = 298;
    SUSPEND_COUNT_EXCEEDED = 156;
    THREAD_IS_TERMINATING = 5;
    SECTION_PROTECTION = 87;
    FILE_LOCK_CONFLICT = 33;
    LOCK_NOT_GRANTED = 33;
    RANGE_NOT_LOCKED = 158;
    DELETE_PENDING = 5;
    UNKNOWN_REVISION = 1305;
    REVISION_MISMATCH = 1306;
    INVALID_OWNER = 1307;
    NO_IMPERSONATION_TOKEN = 1309;
    NO_SUCH_LOGON_SESSION = 1312;
    NO_SUCH_PRIVILEGE = 1313;
    PRIVILEGE_NOT_HELD = 1314;
    INVALID_ACL = 1336;
    INVALID_SID = 1337;
    INVALID_SECURITY_DESCR = 1338;
    PROCEDURE_NOT_FOUND = 127;
    ENTRYPOINT_NOT_FOUND = 127;
    ORDINAL_NOT_FOUND = 182;
    DLL_NOT_FOUND = 126;
    INVALID_IMAGE_FORMAT = 193;
    INVALID_IMAGE_NOT_MZ = 193;
    NO_TOKEN = 1008;
    DISK_FULL = 112;
    INSUFFICIENT_RESOURCES = 1450;
    MEDIA_WRITE_PROTECTED = 19;
    BAD_IMPERSONATION_LEVEL = 1346;
    CANT_OPEN_ANONYMOUS = 1347;
    BAD_TOKEN_TYPE = 1349;
    INSTANCE_NOT_AVAILABLE = 231;
    PIPE_NOT_AVAILABLE = 231;
    PIPE_BUSY = 231;
    INVALID_PIPE_STATE = 230;
    ILLEGAL_FUNCTION = 1;
    PIPE_DISCONNECTED = 233;
    PIPE_CLOSING = 232;
    PIPE_CONNECTED = 535;
    PIPE_LISTENING = 536;
    PIPE_EMPTY = 232;
    PIPE_BROKEN = 109;
    IO_TIMEOUT = 121;
    FILE_IS_A_DIRECTORY = 5;
    NOT_SUPPORTED = 50;
    NOT_SAME_DEVICE = 17;
    INVALID_PARAMETER_1 = 87;
    INVALID_PARAMETER_2 = 87;
    INVALID_PARAMETER_3 = 87;
    INVALID_PARAMETER_4 = 87;
    INVALID_PARAMETER_5 = 87;
    INVALID_PARAMETER_6 = 87;
    STACK_OVERFLOW = 1001;
    DIRECTORY_NOT_EMPTY = 145;
    NOT_A_DIRECTORY = 267;
    NAME_TOO_LONG = 206;
    PROCESS_IS_TERMINATING = 5;
    TOO_MANY_OPENED_FILES = 4;
    CANCELLED = 995;
    CANNOT_DELETE = 5;
    FILE_CLOSED = 6;
    FILE_INVALID = 1006;
    MAPPED_FILE_SIZE_ZERO = 1006;
    NOT_FOUND = 1168;
    NOT_A_REPARSE_POINT = 4390;
    USER_MAPPED_FILE = 1224;
    HANDLE_NOT_CLOSABLE = 6;
    MAPPED_ALIGNMENT = 1132;
    NOT_ALL_ASSIGNED = 1300;
    SOME_NOT_MAPPED = 1301;
    NONE_MAPPED = 1332;
    TOO_MANY_LINKS = 1142;
    VARIABLE_NOT_FOUND = 203;
    REPLY_MESSAGE_MISMATCH = 595;
    LPC_REPLY_LOST = 627;
    SERVER_SID_MISMATCH = 628;
    PORT_ALREADY_SET = 6;
    NO_UNICODE_TRANSLATION = 1113;
    CONNECTION_REFUSED = 1225;
    KEY_DELETED = 1018;
    CHILD_MUST_BE_VOLATILE = 1021;
    MESSAGE_NOT_FOUND = 317;
    RESOURCE_DATA_NOT_FOUND = 1812;
    RESOURCE_TYPE_NOT_FOUND = 1813;
    RESOURCE_NAME_NOT_FOUND = 1814;
    SYMLINK_CLASS_DISABLED = 1463;
    PRIVILEGED_INSTRUCTION = 0xC000_0096;
}
