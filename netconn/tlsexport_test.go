package netconn

import "time"

func init() { leftPatience = time.Minute }

// SetPatience is for a TLSListener that nobody knows yet.
func (l *TLSListener) SetPatience(d time.Duration) { l.patience = d }
