package h2

// What the owner of a Core may ask it.

// Find returns the open stream of an identifier, nil if there is none.
func (c *Core[O]) Find(id uint32) *Stream[O] { return c.table.find(id) }

// Streams appends all open streams, in no order.
func (c *Core[O]) Streams(dst []*Stream[O]) []*Stream[O] { return c.table.append(dst) }

// Len returns how many streams are open.
func (c *Core[O]) Len() int { return c.table.len }

// Active returns how many streams count against the limit of streams at once:
// on the server those with a handler, on the client those that are open.
func (c *Core[O]) Active() int { return int(c.active) }

// LastID returns the highest identifier that was accepted, which is what a last
// GOAWAY says.
func (c *Core[O]) LastID() uint32 { return c.lastShown }

// Peer returns the peer's settings, to be read only.
func (c *Core[O]) Peer() *PeerSettings { return &c.peer }

// Ready reports whether the peer's SETTINGS have come.
func (c *Core[O]) Ready() bool { return c.begun }

// InBlock reports whether a header block has begun and not ended: the owner
// limits how long that may take.
func (c *Core[O]) InBlock() bool { return c.block != nil }

// Replies returns how many bytes of answers (PING and SETTINGS acknowledgments,
// RST_STREAM) have been put out since ResetReplies. A peer that makes us answer
// and does not read makes it grow: the owner resets it when output has drained,
// and fails the connection when it is too large.
func (c *Core[O]) Replies() int { return c.replies }

// ResetReplies begins to count replies anew.
func (c *Core[O]) ResetReplies() { c.replies = 0 }

// Progress says that we have sent something the peer waits for; what it may
// send to ask whether we live is forgiven.
func (c *Core[O]) Progress() { c.pings.reset() }
