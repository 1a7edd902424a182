package shipmate

import (
	"testing"
	"time"
)

func TestPausesGrowUpToTheLongest(t *testing.T) {
	policy := Reconnect{Attempts: 100, First: 100 * time.Millisecond, Max: 350 * time.Millisecond}
	for failed, full := range map[int]time.Duration{1: 100, 2: 200, 3: 350, 4: 350, 90: 350} {
		full *= time.Millisecond
		if pause := policy.pause(failed); pause < full/2 || pause > full {
			t.Errorf("after %d: %v, which is not between half of %v and all of it", failed, pause, full)
		}
	}
}
