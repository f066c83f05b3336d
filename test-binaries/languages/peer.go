// A port server and client in Go, and a round through Go's own runtime: see peers.c.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	clients  = 4
	requests = 250

	lpcRequest           = 1
	lpcReply             = 2
	lpcPortClosed        = 5
	lpcConnectionRequest = 10
)

// PORT_MESSAGE of ntlpcapi.h with room for 16 bytes of data.
type message struct {
	dataLength, totalLength, kind, dataInfoOffset uint16
	process, thread                               uintptr
	messageID                                     uint32
	viewSize                                      uintptr
	data                                          [4]uint32
}

const header = unsafe.Offsetof(message{}.data)

type unicodeString struct {
	length, maximum uint16
	buffer          *uint16
}

type objectAttributes struct {
	length    uint32
	root      uintptr
	name      *unicodeString
	flags     uint32
	security  uintptr
	securityQ uintptr
}

type qualityOfService struct {
	length, level       uint32
	tracking, effective byte
}

var ntdll = syscall.NewLazyDLL("ntdll.dll")

// The pointers behind the arguments are on the heap and kept: a stack that grows or shrinks moves what is on it.
//
//go:uintptrescapes
func call(name string, arguments ...uintptr) {
	if status, _, _ := ntdll.NewProc(name).Call(arguments...); status != 0 {
		panic(fmt.Sprintf("%s: %#x", name, uint32(status)))
	}
}

func unicode(name string) *unicodeString {
	text, err := syscall.UTF16FromString(name)
	check(err)
	length := uint16(2 * (len(text) - 1))
	return &unicodeString{length, length + 2, &text[0]}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func require(condition bool, what string) {
	if !condition {
		panic("failed: " + what)
	}
}

func serve(name string) {
	var port, channel uintptr
	attributes := objectAttributes{name: unicode(name), flags: 0x40}
	attributes.length = uint32(unsafe.Sizeof(attributes))
	call("NtCreatePort", uintptr(unsafe.Pointer(&port)), uintptr(unsafe.Pointer(&attributes)), 64, unsafe.Sizeof(message{}), 0)
	var reply *message
	for closed := 0; closed < clients; {
		m := new(message)
		call("NtReplyWaitReceivePort", port, 0, uintptr(unsafe.Pointer(reply)), uintptr(unsafe.Pointer(m)))
		runtime.KeepAlive(reply)
		reply = nil
		switch m.kind & 0xff {
		case lpcConnectionRequest:
			call("NtAcceptConnectPort", uintptr(unsafe.Pointer(&channel)), 0, uintptr(unsafe.Pointer(m)), 1, 0, 0)
			call("NtCompleteConnectPort", channel)
		case lpcRequest:
			m.data[0] ^= 0xffff
			m.data[1]++
			reply = m
		case lpcPortClosed:
			closed++
		}
	}
}

func connect(name string) uintptr {
	var port uintptr
	qos := qualityOfService{level: 2, tracking: 1, effective: 1}
	qos.length = uint32(unsafe.Sizeof(qos))
	procedure := ntdll.NewProc("NtConnectPort")
	for attempt := 0; ; attempt++ {
		status, _, _ := procedure.Call(uintptr(unsafe.Pointer(&port)), uintptr(unsafe.Pointer(unicode(name))),
			uintptr(unsafe.Pointer(&qos)), 0, 0, 0, 0, 0)
		if status == 0 {
			return port
		}
		// STATUS_OBJECT_NAME_NOT_FOUND: the server may start later.
		require(uint32(status) == 0xc0000034 && attempt < 200, fmt.Sprintf("NtConnectPort: %#x", uint32(status)))
		time.Sleep(50 * time.Millisecond)
	}
}

func ask(name string, client uint32) {
	port := connect(name)
	for i := uint32(0); i < requests; i++ {
		m := &message{dataLength: 16, totalLength: uint16(header) + 16}
		m.data = [4]uint32{client, i, client * i, 0}
		call("NtRequestWaitReplyPort", port, uintptr(unsafe.Pointer(m)), uintptr(unsafe.Pointer(m)))
		require(m.kind&0xff == lpcReply, "a reply")
		require(m.data == [4]uint32{client ^ 0xffff, i + 1, client * i, 0}, "the answer")
		if i%50 == 0 {
			runtime.GC()
		}
	}
	call("NtClose", port)
}

func runClients(name string) {
	var group sync.WaitGroup
	for client := uint32(0); client < clients; client++ {
		group.Add(1)
		go func(client uint32) {
			defer group.Done()
			ask(name, client)
		}(client)
	}
	group.Wait()
}

// Files, processes, sockets, timers, panics, many goroutines.
func selftest() {
	directory, err := os.MkdirTemp("", "ntlpc-go")
	check(err)
	defer os.RemoveAll(directory)
	random := make([]byte, 100000)
	_, err = rand.Read(random)
	check(err)
	file := filepath.Join(directory, "Größe.bin")
	check(os.WriteFile(file, random, 0o644))
	again, err := os.ReadFile(strings.ToUpper(file[:1]) + file[1:])
	check(err)
	require(bytes.Equal(random, again), "the file's contents")
	check(os.Rename(file, file+".old"))
	_, err = os.Stat(file)
	require(errors.Is(err, os.ErrNotExist), "a renamed file is gone")
	entries, err := os.ReadDir(directory)
	check(err)
	require(len(entries) == 1 && entries[0].Name() == "Größe.bin.old", "the directory's entries")

	own, err := os.Executable()
	check(err)
	child := exec.Command(own, "echo", "two words", `quote " and \`)
	child.Stdin = strings.NewReader("input")
	child.Env = append(os.Environ(), "NTLPC_PEER=ä")
	output, err := child.Output()
	var exit *exec.ExitError
	require(errors.As(err, &exit) && exit.ExitCode() == 7, "the child's exit code")
	require(string(output) == `two words|quote " and \|ä|input`, "the child's output: "+string(output))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		connection, err := listener.Accept()
		check(err)
		_, err = io.Copy(connection, connection)
		check(err)
		check(connection.Close())
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	group.Add(1)
	go func() {
		defer group.Done()
		_, err := connection.Write(random)
		check(err)
		check(connection.(*net.TCPConn).CloseWrite())
	}()
	echoed, err := io.ReadAll(connection)
	check(err)
	require(bytes.Equal(random, echoed), "the bytes of the socket")
	group.Wait()

	func() {
		defer func() { require(recover() != nil, "a recovered panic") }()
		var nothing *message
		nothing.kind = 1
	}()

	ticker := time.NewTicker(5 * time.Millisecond)
	begin := time.Now()
	for i := 0; i < 5; i++ {
		<-ticker.C
	}
	require(time.Since(begin) >= 20*time.Millisecond, "the ticker's time")

	results := make(chan int)
	for i := 0; i < 200; i++ {
		go func(i int) {
			sum := 0
			for j := 0; j < 1000; j++ {
				sum += binary.Size(make([]uint16, i%7+1))
			}
			results <- sum
		}(i)
	}
	var sums []int
	for i := 0; i < 200; i++ {
		sums = append(sums, <-results)
	}
	sort.Ints(sums)
	require(sums[0] == 2000 && sums[199] == 14000, "the goroutines' sums")
}

func main() {
	defer func() {
		if problem := recover(); problem != nil {
			fmt.Fprintln(os.Stderr, "peer.go:", problem)
			os.Exit(1)
		}
	}()
	switch os.Args[1] {
	case "server":
		serve(os.Args[2])
	case "client":
		runClients(os.Args[2])
	case "selftest":
		selftest()
	case "echo":
		input, err := io.ReadAll(os.Stdin)
		check(err)
		fmt.Print(strings.Join(append(os.Args[2:], os.Getenv("NTLPC_PEER"), string(input)), "|"))
		os.Exit(7)
	}
}
