package simulator

// Labels of pools and nodes (MS 3.4, 3.5).

func putPoolLabel(s *Simulator, req *Request) *answer {
	p, bad := s.poolOf(req)
	if bad != nil {
		return bad
	}
	if req.params["key"] == CreatedBy {
		s.violate("PUT %s: overwriting %s drops the pool out of every CSI volume's topology", req.Path, CreatedBy)
	}
	if bad := s.setLabel(p.labels, req); bad != nil {
		return bad
	}
	s.changed(nil, "pool "+p.id+": label "+req.params["key"])
	return ok(s.poolOut(p))
}

func deletePoolLabel(s *Simulator, req *Request) *answer {
	p, bad := s.poolOf(req)
	if bad != nil {
		return bad
	}
	if req.params["key"] == CreatedBy {
		s.violate("DELETE %s: the label %s is the operator's", req.Path, CreatedBy)
		return refuse("InvalidArgument", "the label '"+CreatedBy+"' is reserved")
	}
	if bad := s.dropLabel(p.labels, req); bad != nil {
		return bad
	}
	s.changed(nil, "pool "+p.id+": label "+req.params["key"]+" removed")
	return ok(s.poolOut(p))
}

func putNodeLabel(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	if bad := s.setLabel(n.labels, req); bad != nil {
		return bad
	}
	s.changed(nil, "node "+n.id+": label "+req.params["key"])
	return ok(s.nodeOut(n))
}

func deleteNodeLabel(s *Simulator, req *Request) *answer {
	n, bad := s.nodeOf(req)
	if bad != nil {
		return bad
	}
	if bad := s.dropLabel(n.labels, req); bad != nil {
		return bad
	}
	s.changed(nil, "node "+n.id+": label "+req.params["key"]+" removed")
	return ok(s.nodeOut(n))
}

func (s *Simulator) setLabel(labels map[string]string, req *Request) *answer {
	key, value := req.params["key"], req.params["value"]
	if key == "" {
		return refuse("InvalidArgument", "the label key is empty")
	}
	overwrite := req.Query.Get("overwrite")
	if overwrite != "" && overwrite != "true" && overwrite != "false" {
		return refuse("Deserialize", "overwrite must be true or false")
	}
	if old, found := labels[key]; found && old != value && overwrite != "true" {
		return refuse("FailedPrecondition", "label '"+key+"' exists with another value")
	}
	labels[key] = value
	return nil
}

func (s *Simulator) dropLabel(labels map[string]string, req *Request) *answer {
	key := req.params["key"]
	if _, found := labels[key]; !found {
		return refuse("FailedPrecondition", "label '"+key+"' does not exist")
	}
	delete(labels, key)
	return nil
}
