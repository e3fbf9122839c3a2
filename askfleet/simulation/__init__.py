"""What a policy of scaling costs and delivers: arrivals, queue, KEDA and HPA, nodes, cold starts, batches."""
