// Package redis keeps idem's records in a Redis server or cluster, for all
// processes that share it:
//
//	rt, _ := conn.Start(conn.Config{})
//	store, err := redis.Open(ctx, redis.Config{Runtime: rt, Addrs: []string{"127.0.0.1:6379"}})
//	client := &idem.Client{Store: store}
//
// Each record is a hash, each change one script on that one key, so that a
// cluster needs nothing special. All time is the server's.
//
//	EVALSHA ──► answer
//	   ├─ NOSCRIPT ──► EVAL, which also has the server remember it
//	   ├─ no answer ─► an error; a late one reaches nobody. idem.Client sends the
//	   │               same again
//	   └─ refused ───► idem.ErrRefused; not sent again
//
// Calls share a connection of a conn.Runtime, on its callback face: what many
// ask at once is sent together, and replies are told apart by their order. With a
// cluster, with TLS and where replicas are waited for the client is go-redis, on
// connections of the same Runtime, one for each call under way; Config.Pooled has
// it so in any case.
//
// # What it takes
//
// Redis 5 or later. maxmemory-policy must be noeviction: a server that drops
// records when it is full drops the knowledge that something was done. Open
// looks, and refuses others. What a crash of the server may lose depends on its
// settings: with appendonly yes and appendfsync always nothing that was
// acknowledged, with everysec a second of it.
//
// # What it cannot promise
//
// Replication is asynchronous: a replica that takes over may not know of the
// last records, and what they stood for is done again. Config.Replicas waits for
// replicas before a grant counts, which narrows that gap and does not close it.
// Server time that is set forward ends leases early. In both cases the fence
// tells the owners apart, where the effect looks at it, and idem.Stats.Lost and
// Healed count what was noticed.
package redis
