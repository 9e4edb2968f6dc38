module github.com/weir-go/weir/bench/rivals

go 1.26.0

require (
	github.com/cloudwego/netpoll v0.7.2
	github.com/weir-go/weir v0.0.0
	github.com/weir-go/weir/contrib/grpc v0.0.0
	golang.org/x/sys v0.49.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-co-op/gocron/v2 v2.21.2
	github.com/google/uuid v1.6.0 // indirect
	github.com/jonboulle/clockwork v0.5.0 // indirect
	github.com/netresearch/go-cron v0.9.1 // indirect
	github.com/reugn/go-quartz v0.15.2
	github.com/robfig/cron/v3 v3.0.1
	go.etcd.io/bbolt v1.5.0 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
	github.com/panjf2000/ants/v2 v2.12.1 // indirect
	github.com/redis/go-redis/v9 v9.23.0
	github.com/weir-go/weir/contrib/redis v0.0.0
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)

replace github.com/weir-go/weir => ../..

replace github.com/weir-go/weir/contrib/grpc => ../../contrib/grpc

replace github.com/weir-go/weir/contrib/redis => ../../contrib/redis
