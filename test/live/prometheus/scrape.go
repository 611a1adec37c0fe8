package prometheus

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
)

// Target is one exporter to scrape.
type Target struct {
	// URL is the whole address of the metrics, like http://127.0.0.1:9502/metrics.
	URL string

	// Labels are set on each of its samples. job and instance default to
	// "mayastor" and the host and port of the URL. A label that the exporter
	// sets, too, wins over the exporter's, whose value is kept as
	// exported_<name>, as upstream does without honor_labels: {"node": "n1"}
	// makes the exporter's node label exported_node.
	Labels map[string]string
}

const (
	// jobName is the default job label and the name of the only scrape pool.
	jobName = "mayastor"

	// onDemandInterval is the scrape interval in upstream's configuration where
	// there is no loop; it is not used for anything.
	onDemandInterval = time.Minute

	// onDemandTimeout bounds one scrape of ScrapeOnce.
	onDemandTimeout = 10 * time.Second

	// reloadInterval is how soon upstream's manager takes over a changed list
	// of targets. Its default is 5 s, too long for demos with 1 s scrapes.
	reloadInterval = 100 * time.Millisecond
)

// scraper owns upstream's scrape manager and the loop that tells it the targets.
type scraper struct {
	config  *config.Config
	manager *scrape.Manager
	cancel  context.CancelFunc
	loops   sync.WaitGroup
}

// startScraper starts the scrape loops if cfg asks for any. They end with ctx;
// stop waits for them.
func startScraper(ctx context.Context, db storage.AppendableV2, cfg Config) (*scraper, error) {
	conf, err := scrapeConfig(cfg.ScrapeInterval)
	if err != nil {
		return nil, err
	}
	manager, err := scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(reloadInterval),
		DiscoveryReloadOnStartup: true,
	}, slog.New(slog.DiscardHandler), nil, nil, db, prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("create scrape manager: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &scraper{config: conf, manager: manager, cancel: cancel}
	if cfg.ScrapeInterval == 0 || cfg.Targets == nil {
		return s, nil
	}
	if err := manager.ApplyConfig(conf); err != nil {
		cancel()
		return nil, fmt.Errorf("configure scrape manager: %w", err)
	}
	sets := make(chan map[string][]*targetgroup.Group)
	s.loops.Go(func() {
		defer close(sets)
		watchTargets(ctx, cfg, sets)
	})
	s.loops.Go(func() {
		// Run ends when sets is closed, and has no other error. It leaves the
		// scrape loops to Stop.
		_ = manager.Run(sets)
		manager.Stop()
	})
	return s, nil
}

// stop ends all loops and returns when no more sample will be written. No
// staleness markers are written, as when a server is shut down.
func (s *scraper) stop() {
	s.cancel()
	s.loops.Wait()
}

// watchTargets sends the targets to sets, at once and then once per interval.
func watchTargets(ctx context.Context, cfg Config, sets chan<- map[string][]*targetgroup.Group) {
	tick := time.NewTicker(cfg.ScrapeInterval)
	defer tick.Stop()
	for {
		select {
		case sets <- map[string][]*targetgroup.Group{jobName: groups(cfg.Targets())}:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// scrapeConfig is upstream's configuration with one scrape pool.
func scrapeConfig(interval time.Duration) (*config.Config, error) {
	if interval == 0 {
		interval = onDemandInterval
	}
	conf, err := config.Load(fmt.Sprintf(`
global:
  scrape_interval: %[1]s
  scrape_timeout: %[2]s
scrape_configs:
  - job_name: %[3]s
`, model.Duration(interval), model.Duration(min(interval, onDemandTimeout)), jobName), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("configure scraping every %s: %w", interval, err)
	}
	return conf, nil
}

// groups turns targets into upstream's form. A URL that does not parse becomes
// a target without address, which upstream refuses and reports.
func groups(targets []Target) []*targetgroup.Group {
	all := make([]*targetgroup.Group, 0, len(targets))
	for i, t := range targets {
		all = append(all, &targetgroup.Group{
			Source:  strconv.Itoa(i),
			Targets: []model.LabelSet{t.discovered()},
		})
	}
	return all
}

// discovered are the labels upstream's service discovery would give the target.
func (t Target) discovered() model.LabelSet {
	set := model.LabelSet{}
	if u, err := url.Parse(t.URL); err == nil {
		set[model.SchemeLabel] = model.LabelValue(u.Scheme)
		set[model.AddressLabel] = model.LabelValue(u.Host)
		set[model.MetricsPathLabel] = model.LabelValue(u.Path)
		for name, values := range u.Query() {
			set[model.LabelName(model.ParamLabelPrefix+name)] = model.LabelValue(values[0])
		}
	}
	for name, value := range maps.All(t.Labels) {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return set
}
