"""What a tenant's database holds, in words: shared by the SQL worker and the router."""
