/* Reads input records of a terminal, draws on it, and prints what it got; a step ends with the key that the test sends. */
#include <stdio.h>
#include <windows.h>

static HANDLE in, out;

static void print_keys_until(WCHAR last)
{
    INPUT_RECORD records[4];
    DWORD count;
    for (;;) {
        if (!ReadConsoleInputW(in, records, 4, &count)) {
            printf("error %lu\n", GetLastError());
            ExitProcess(1);
        }
        for (DWORD i = 0; i < count; i++) {
            KEY_EVENT_RECORD *key = &records[i].Event.KeyEvent;
            if (records[i].EventType != KEY_EVENT || !key->bKeyDown)
                continue;
            if (key->uChar.UnicodeChar == last)
                return;
            printf("key %x %x %x %lx\n", key->wVirtualKeyCode, key->wVirtualScanCode, key->uChar.UnicodeChar,
                   key->dwControlKeyState);
        }
    }
}

int main(void)
{
    DWORD mode = 0, count = 99;
    INPUT_RECORD record = {.EventType = KEY_EVENT};
    char letter = 0;
    setbuf(stdout, NULL);
    in = GetStdHandle(STD_INPUT_HANDLE);
    out = GetStdHandle(STD_OUTPUT_HANDLE);
    GetConsoleMode(in, &mode);
    printf("mode %lx\n", mode);
    GetNumberOfConsoleInputEvents(in, &count);
    printf("events %lu\n", count);
    record.Event.KeyEvent.bKeyDown = TRUE;
    record.Event.KeyEvent.uChar.UnicodeChar = 'w';
    record.Event.KeyEvent.wVirtualKeyCode = 'W';
    WriteConsoleInputW(in, &record, 1, &count);
    PeekConsoleInputW(in, &record, 1, &count);
    GetNumberOfConsoleInputEvents(in, &count);
    printf("written %lu\n", count);
    print_keys_until('q');

    /* Keys as they are pressed, without records. */
    SetConsoleMode(in, ENABLE_PROCESSED_INPUT);
    GetConsoleMode(in, &mode);
    printf("raw mode %lx\n", mode);
    ReadFile(in, &letter, 1, &count, NULL);
    printf("letter %c\n", letter);
    SetConsoleMode(in, 0x200);
    printf("verbatim\n");
    print_keys_until('q');

    CHAR_INFO cells[2] = {{{'X'}, 7}, {{'Y'}, 0x4f}}, blank = {{' '}, 7};
    SMALL_RECT region = {3, 1, 4, 1}, rows = {0, 2, 79, 5};
    COORD size = {2, 1}, origin = {0, 0}, up = {0, 1}, aside = {5, 2};
    int drawn = WriteConsoleOutputW(out, cells, size, origin, &region);
    int scrolled = ScrollConsoleScreenBufferW(out, &rows, NULL, up, &blank);
    int refused = ScrollConsoleScreenBufferW(out, &rows, NULL, aside, &blank);
    printf("\ndrawn %d %d,%d scrolled %d refused %d %lu\n", drawn, region.Left, region.Right, scrolled, refused,
           GetLastError());
    return 0;
}
