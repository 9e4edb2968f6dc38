package sock

// Call is a system call that tests can have fail: see Inject, which programs
// built with the tag faults have. In others injected and cut are constants, and
// the compiler leaves nothing of them.
//
//	Recv, Send, ... ─► injected ─┬─ 0 ─────► the kernel
//	                             └─ errno ─► as if the kernel had said so
type Call uint8

// The calls. CallSend is that of Sendv, too; CallWatch is for who registers
// descriptors with a poller.
const (
	CallSocket Call = iota
	CallBind
	CallConnect
	CallConnected // SO_ERROR, after a connect
	CallName      // getsockname
	CallAccept
	CallRecv
	CallSend
	CallShutdown
	CallDup
	CallClose // the descriptor is closed all the same, as the kernel does it
	CallWatch
	Calls int = iota // how many there are
)
