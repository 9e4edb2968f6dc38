package poller

// critical has no meaning here.
const critical = 0
