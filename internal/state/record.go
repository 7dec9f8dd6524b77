// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"

	bolt "go.etcd.io/bbolt"

	"probe/pkg/stats"
)

// Where the record is, inside the database. The schema stands beside it so that
// any version of the program can read it.
const (
	bucketName = "probe"
	schemaKey  = "schema"
	recordKey  = "saved"
	// maxSchemaBytes and maxRecordBytes are more than is ever written.
	maxSchemaBytes = 10
	maxRecordBytes = 16 << 20
)

// encode is a checksum (CRC-32C, big endian) and JSON: the database itself only
// checks its first two pages.
func encode(s Saved) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	sum := crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32(nil, sum), text...), nil
}

func decode(raw []byte) (Saved, error) {
	var s Saved
	if len(raw) < 4 || len(raw) > maxRecordBytes {
		return s, fmt.Errorf("%w: record of %d bytes", ErrDamaged, len(raw))
	}
	text := raw[4:]
	if binary.BigEndian.Uint32(raw) != crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)) {
		return s, fmt.Errorf("%w: checksum of the record", ErrDamaged)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return Saved{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := errors.Join(s.Stats.Validate(), stats.ValidateSeriesTotals(s.Series)); err != nil {
		return Saved{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, nil
}

// read returns the record; found is false in a database without one.
func read(db *bolt.DB) (s Saved, found bool, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(bucketName))
		if bucket == nil {
			return nil
		}
		// A damaged length may be anything.
		version := bucket.Get([]byte(schemaKey))
		version = version[:min(len(version), maxSchemaBytes)]
		schema, err := strconv.ParseUint(string(version), 10, 32)
		switch {
		case err != nil || schema == 0:
			return fmt.Errorf("%w: no schema version", ErrDamaged)
		case schema > Schema:
			return fmt.Errorf("%w (schema %d, this one knows %d)", ErrNewer, schema, Schema)
		}
		found = true
		s, err = decode(bucket.Get([]byte(recordKey)))
		return err
	})
	return s, found, err
}

// write replaces the record in one transaction.
func write(db *bolt.DB, s Saved) error {
	raw, err := encode(s)
	if err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists([]byte(bucketName))
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(schemaKey), strconv.AppendUint(nil, Schema, 10)); err != nil {
			return err
		}
		return bucket.Put([]byte(recordKey), raw)
	})
}
