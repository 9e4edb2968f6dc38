package metrics

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/weir-go/weir/conn"
	"github.com/weir-go/weir/stream"
)

// Sources that always say the same.
type (
	fixedServer stream.Stats
	fixedClient struct{ s stream.ClientStats }
	fixedTopic  stream.TopicStats
)

func (f *fixedServer) Stats() stream.Stats       { return stream.Stats(*f) }
func (f *fixedClient) Stats() stream.ClientStats { return f.s }
func (f *fixedTopic) Stats() stream.TopicStats   { return stream.TopicStats(*f) }

// requireShown looks for the numbers from n on among the values of a scrape.
func requireShown(t *testing.T, page string, names []string, n int) {
	t.Helper()
	require.NotEmpty(t, names)
	seen := map[string]bool{}
	for line := range strings.Lines(page) {
		if fields := strings.Fields(line); !strings.HasPrefix(line, "#") {
			seen[fields[len(fields)-1]] = true
		}
	}
	for i, name := range names {
		require.True(t, seen[fmt.Sprint(n+i)], "%s (%d) is missing from\n%s", name, n+i, page)
	}
}

// Every number of the three Stats is in the scrape.
func TestEveryStreamFigureIsShown(t *testing.T) {
	server := new(fixedServer)
	names := number(server, 101)
	requireShown(t, scrape(t, NewStreamServer("main", server)), names, 101)

	client := new(fixedClient)
	names = number(&client.s, 101)
	shared := number(&client.s.Stats, 201)
	alone := serversAlone(&client.s.Stats) // as documented
	page := scrape(t, NewStreamClient("main", client))
	requireShown(t, page, names, 101)
	for i, name := range shared {
		if !alone[name] {
			requireShown(t, page, []string{name}, 201+i)
		}
	}

	topic := new(fixedTopic)
	names = number(topic, 101)
	for i := range topic.Dropped {
		topic.Dropped[i] = uint64(200 + i)
	}
	page = scrape(t, NewTopic("news", topic))
	requireShown(t, page, names, 101)
	for i := 1; i < len(topic.Dropped); i++ {
		policy := strings.ReplaceAll(stream.Policy(i).String(), " ", "_")
		require.Contains(t, page, fmt.Sprintf("weir_topic_dropped_total{policy=%q,topic=\"news\"} %d\n", policy, 200+i))
	}
}

// serversAlone makes 0 what only servers count, and returns the names.
func serversAlone(s *stream.Stats) map[string]bool {
	names := map[string]bool{}
	for _, name := range []string{"Workers", "NoWorker", "PingAbuse", "NotAdmitted", "Farewells",
		"SentAway", "Dismissed", "TooIdle", "NotSent", "NotTaken", "TooOld"} {
		names[name] = true
		reflect.ValueOf(s).Elem().FieldByName(name).SetZero()
	}
	return names
}

func TestStreamNamesFollowTheConventions(t *testing.T) {
	for _, c := range []prometheus.Collector{NewStreamServer("main", new(fixedServer)),
		NewStreamClient("main", new(fixedClient)), NewTopic("news", new(fixedTopic))} {
		problems, err := testutil.CollectAndLint(c)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}

// Several of each live in one registry, and real ones have something to show.
func TestStreamsInOneRegistry(t *testing.T) {
	rt, err := conn.Start(conn.Config{Loops: 1})
	require.NoError(t, err)
	defer rt.Close()
	srv := stream.NewServer(stream.Config{})
	defer srv.Close()
	topic := stream.NewTopic(rt, stream.TopicConfig{Name: "news"})
	defer topic.Close(nil)
	_, err = topic.Publish([]byte("x"))
	require.NoError(t, err)

	registry := prometheus.NewPedanticRegistry()
	for _, name := range []string{"a", "b"} {
		require.NoError(t, registry.Register(NewStreamServer(name, srv)))
		require.NoError(t, registry.Register(NewTopic(name, topic)))
		require.NoError(t, registry.Register(NewStreamClient(name, new(fixedClient))))
	}
	require.Error(t, registry.Register(NewStreamServer("a", srv)))
	require.Contains(t, scrape(t, NewTopic("a", topic)), `weir_topic_published_total{topic="a"} 1`)
	n, err := testutil.GatherAndCount(registry, "weir_stream_server_sessions", "weir_topic_subscriptions", "weir_stream_client_calls")
	require.NoError(t, err)
	require.Equal(t, 6, n)
}
