INSERT INTO agents VALUES (1,'Cleo Marsh','700-1','coast'),(2,'Dirk Bauer','700-2','valley'),(3,'Esme Roy','700-3','coast');
INSERT INTO homes VALUES (1,'3 Pier St','Arden','flat',2,60,'2023-01-05',180000,1),(2,'9 Hill Rd','Arden','house',5,140,'2023-02-10',420000,1),(3,'1 Mill Ln','Bexby','house',4,120,'2023-02-20',310000,2),(4,'7 Pier St','Arden','flat',1,38,current_date - 10,99000,2),(5,'5 Dale Av','Bexby','villa',7,260,current_date - 70,900000,2);
INSERT INTO buyers VALUES (1,'Nora Beck',NULL,200000),(2,'Joel Finch',1,450000),(3,'Priya Nair',1,1000000),(4,'Stan Kerr',2,150000);
INSERT INTO viewings VALUES (1,1,1,'2023-01-20',4),(2,1,4,'2023-01-22',2),(3,2,2,'2023-03-01',5),(4,3,2,'2023-03-02',3),(5,5,3,current_date - 5,5),(6,4,1,current_date - 3,3),(7,5,2,current_date - 33,4);
INSERT INTO deals VALUES (1,1,1,'2023-02-15',175000,3500),(2,2,2,'2023-04-01',410000,8200),(3,5,3,current_date - 2,880000,22000);
