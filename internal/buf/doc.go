// Package buf holds the two buffers that a connection may own, and the storage
// behind them. An idle connection owns neither.
//
//	Flat    input the handler left behind: contiguous, so that a parser can
//	        look at it in one slice
//
//	        storage  [ consumed | unread bytes      | space            ]
//	                            ^r                  ^w
//
//	Chain   output the kernel did not take: segments in order, ready for one
//	        gathered write
//
//	        [ seg ]──[ seg ]──[ shared ]──[ seg    | space ]
//	         ^ partly sent                          ^ Append fills up
//
// Neither is safe for concurrent use: the loop owns a connection's Flat, the
// connection's mutex guards its Chain.
package buf
