// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"probe/pkg/export"
)

// clock is a monotonic clock with any origin.
func clock() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

func ExampleClient() {
	client, err := export.NewClient(export.Options{
		Target: export.Target{Scheme: export.Stdout}, Stdout: os.Stdout,
		Prefix: "shop", Dialect: export.DogStatsD, Tags: []export.Tag{{Key: "env", Value: "prod"}}, Now: clock(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The errors of verbs are about their values only.
	_ = client.Incr("orders", 1)
	_ = client.Decr("stock", 3)
	_ = client.Gauge("queue.length", 17)
	_ = client.Timing("db.query", 1500*time.Microsecond)
	_ = client.With(export.Tag{Key: "region", Value: "eu"}).Incr("orders", 2)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := client.Close(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// shop.orders:1|c|#env:prod
	// shop.stock:-3|c|#env:prod
	// shop.queue.length:17|g|#env:prod
	// shop.db.query:1.5|ms|#env:prod
	// shop.orders:2|c|#env:prod,region:eu
}

func ExampleClient_GaugeDelta() {
	client, err := export.NewClient(export.Options{Stdout: os.Stdout, Prefix: "shop", Now: clock()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close(context.Background())
	_ = client.Gauge("workers", 10)
	_ = client.GaugeDelta("workers", 2)
	_ = client.GaugeDelta("workers", -5)
	// Output:
	// shop.workers:10|g
	// shop.workers:+2|g
	// shop.workers:-5|g
}

func ExampleClient_Timer() {
	now := time.Duration(0)
	client, err := export.NewClient(export.Options{
		Stdout: os.Stdout, Prefix: "shop", Dialect: export.Influx, Host: "vm",
		Now: func() time.Duration { return now },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close(context.Background())
	stop := client.Timer("checkout")
	now += 42 * time.Millisecond // the work
	if d, err := stop(); err == nil {
		fmt.Println("took", d)
	}
	// Output:
	// took 42ms
	// shop.checkout,host=vm:42|ms
}

func ExampleClient_Inject() {
	client, err := export.NewClient(export.Options{Stdout: os.Stdout, Prefix: "shop", Now: clock()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close(context.Background())
	_ = client.Inject("customers", "ann", "s")
	fmt.Println(client.Inject("customers", "ann|bob", "s"))
	// Output:
	// inject customers: bad value "ann|bob"
	// shop.customers:ann|s
}
