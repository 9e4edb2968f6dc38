package sock

import "golang.org/x/sys/unix"

// SO_REUSEPORT lets FreeBSD's sockets share a port, but only _LB spreads the
// connections over them.
const soReusePort = unix.SO_REUSEPORT_LB
