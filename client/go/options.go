package shipmate

import "time"

// A Tier says how large parts of messages go over shared memory. What a connection has is the strongest that
// both sides take; other transports copy.
type Tier int

const (
	// TierCopy: the receiver copies once, and then looks: safe with a hostile peer. The default.
	TierCopy Tier = iota
	// TierSealed: 4 MiB and more are sealed by the kernel against any change, and received in place: as
	// safe, but each such message takes fresh memory from the system.
	TierSealed
	// TierTrusted: 32 KiB and more are received where the sender has built them, and nothing is copied:
	// between processes of one user that trust each other.
	TierTrusted
)

// An Option is of shared memory, and counts nowhere else.
type Option func(*options)

type options struct {
	tier Tier
	spin time.Duration
	ring int
}

// WithTier takes messages at most in this tier.
func WithTier(tier Tier) Option { return func(o *options) { o.tier = tier } }

// WithSpin looks for a message, or for room, for this long before it sleeps. That saves the time that waking
// up takes, and costs a processor meanwhile.
func WithSpin(spin time.Duration) Option { return func(o *options) { o.spin = spin } }

// WithRing gives a publisher so many bytes of memory: a power of two from 4 KiB to 1 GiB, four times the
// largest message at least. The default is 4 MiB.
func WithRing(bytes int) Option { return func(o *options) { o.ring = bytes } }

func optionsOf(given []Option) options {
	var all options
	for _, option := range given {
		option(&all)
	}
	return all
}
