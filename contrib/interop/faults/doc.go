// Package faults is tests only: gRPC servers in processes of their own that are
// given too little, or are hurt, and what clients of grpc-go hear of it. See
// docs/faults.md. They take their time with WEIR_FAULTS=long, as make faults
// does.
package faults
